"""Shared fixtures. Threads are limited first: oversubscription made jobs many times slower on a busy machine."""

import gc
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


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


@pytest.fixture(autouse=True)
def without_packaged_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults do not depend on what this machine has installed; tests name the packaged model where they want it."""
    from unlearn_bench.evidence import profiles

    monkeypatch.setattr(profiles, "is_installed", lambda name: False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runslow", action="store_true", help="also run tests marked slow")
    parser.addoption("--runbenchmarks", action="store_true", help="also run tests marked benchmark")


def pytest_collection_finish() -> None:
    """Torch and 7,000 tests are a million objects that stay: no later collection of garbage walks through them."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for mark, option in (("slow", "--runslow"), ("benchmark", "--runbenchmarks")):
        if not config.getoption(option):
            skip = pytest.mark.skip(reason=f"{mark}: needs {option}")
            for item in items:
                if mark in item.keywords:
                    item.add_marker(skip)
