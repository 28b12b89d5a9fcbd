"""The one place that keeps other libraries from talking on the terminal: bars, notices, warnings of what will change.

Environment variables do it, since most libraries read them when they are first imported; `quiet_libraries` therefore
imports nothing and is called before anything heavy is. What the user has set is left alone.
"""

import logging
import os
import sys
import warnings

ALWAYS = {"TRANSFORMERS_VERBOSITY": "error", "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1", "DATASETS_VERBOSITY": "error"}
WITHOUT_TERMINAL = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}
LOGGERS = ("lm_eval", "transformers", "datasets", "huggingface_hub", "peft", "accelerate", "torch", "httpx")


def quiet_libraries(*, bars: bool | None = None) -> None:
    """Silence notices and warnings, and progress bars where there is no terminal.

    Args:
        bars: Whether libraries may draw bars; None: where standard error is a terminal.
    """
    shown = _is_terminal() if bars is None else bars
    for name, value in {**ALWAYS, **({} if shown else WITHOUT_TERMINAL)}.items():
        os.environ.setdefault(name, value)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if not shown:
        _hide_bars_of_imported()


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _hide_bars_of_imported() -> None:
    """Libraries that are there already have read their variables."""
    if "datasets" in sys.modules:
        sys.modules["datasets"].disable_progress_bars()
    if "transformers" in sys.modules:
        sys.modules["transformers"].utils.logging.disable_progress_bar()
