"""Pools of invented models with invented numbers."""

from pathlib import Path

from tests.leaderboard_documents import make_result, make_samples, write_run
from unlearn_bench.comparison.loaded import LoadedResult
from unlearn_bench.meta.pool import Member, member

KNOWING, NOT_KNOWING = (2, 10, 30), (70, 85, 95)  # of 100 forget answers, how many are forgotten


def a_member(side: str, name: str, *, after: dict[str, int] | None = None, **figures: object) -> Member:
    """A model over `make_samples`; `after`: stress to its KFR under it, in per cent."""
    weights = figures.pop("weights", None)
    samples = make_samples(**figures)
    loaded = LoadedResult(name, make_result(name, samples, weights=weights), held=samples)
    stressed = {
        stress: LoadedResult(name, make_result(name, found), held=found)
        for stress, kfr in (after or {}).items()
        for found in [make_samples(**{**figures, "kfr": kfr})]
    }
    return member(side, loaded, stressed)


def a_pool(**more: object) -> list[Member]:
    """Three models that know and three that do not."""
    return [
        a_member(side, f"{side}-{kfr}", kfr=kfr, seed=kfr, **more)
        for side, shares in (("positive", KNOWING), ("negative", NOT_KNOWING))
        for kfr in shares
    ]


def written_pool(folder: Path) -> Path:
    """The same as folders of results."""
    for side, shares in (("positive", KNOWING), ("negative", NOT_KNOWING)):
        for kfr in shares:
            write_run(folder / side / f"{side}-{kfr}", f"{side}-{kfr}", kfr=kfr, seed=kfr)
    return folder
