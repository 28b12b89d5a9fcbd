"""Shared fixtures. Threads are limited first: oversubscription made jobs many times slower on a busy machine."""

import gc
import os
from collections.abc import Generator, Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from pathlib import Path

import pytest
from _pytest.doctest import DoctestModule

ROOT = Path(__file__).parents[1]
MARKS = {"slow": "--runslow", "benchmark": "--runbenchmarks"}

# a machine's own terminal, data and proxies are not what is tested; servers of the tests are on loopback
for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "UNLEARN_BENCH_DATA"):
    os.environ.pop(name, None)
os.environ["NO_PROXY"] = os.environ["no_proxy"] = f"127.0.0.1,localhost,{os.environ.get('NO_PROXY', '')}"

gc.disable()  # until all tests are collected: what is imported until then stays


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Published data and logs, not part of the project; tests that need them skip where they are missing."""
    shared = Path(os.environ.get("UNLEARN_BENCH_SHARED", ROOT.parent / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"the published data and logs are not at {shared} (set UNLEARN_BENCH_SHARED)")
    return shared / "data"


@pytest.fixture(scope="session")
def smollm2() -> str:
    """Name of the real language model that a package carries; tests that need it skip where it is missing."""
    from importlib.util import find_spec

    from unlearn_bench.models.packaged import PACKAGED, SMOLLM2, is_installed

    if not is_installed(SMOLLM2) or find_spec("gguf") is None:
        pytest.skip(f"needs a real language model: {PACKAGED[SMOLLM2].install}")
    return SMOLLM2


@pytest.fixture(autouse=True, scope="session")
def without_waiting_for_the_disk() -> Iterator[None]:
    """A flush is for the loss of power, which no test brings about; on some disks it takes as long as a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def without_packaged_judge() -> Iterator[None]:
    """Defaults do not depend on what this machine has installed; tests name the packaged model where they want it."""
    from unlearn_bench.evidence import profiles

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiles, "is_installed", lambda name: False)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runslow", action="store_true", help="also run tests marked slow")
    parser.addoption("--runbenchmarks", action="store_true", help="also run tests marked benchmark")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name == "benchmarks" and not config.getoption("--runbenchmarks") else None


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Examples stand in the package's docstrings; the tests have none to look for."""
    return [found for found in (yield) if not isinstance(found, DoctestModule)]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselected, not skipped: two workers report 1,400 skipped tests as slowly as they do tests that run."""
    left_out = {mark for mark, option in MARKS.items() if not config.getoption(option)}
    chosen = [item for item in items if left_out.isdisjoint(item.keywords)]
    if len(chosen) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if not left_out.isdisjoint(item.keywords)])
        items[:] = chosen


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for mark, option in MARKS.items():
        if not config.getoption(option):
            terminalreporter.write_line(f"tests marked {mark} are left out: they need {option}")


def pytest_collection_finish() -> None:
    """Torch and 5,000 tests are a million objects that stay: no later collection of garbage walks through them."""
    gc.collect()
    gc.freeze()
    gc.enable()
