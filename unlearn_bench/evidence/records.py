"""Do the scores of a sample follow from the evidence in its own record? No part of a profile is called."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from unlearn_bench.evidence.pipeline import DESCRIPTIVE, applies, default_options, resolve
from unlearn_bench.schema import Sample, TaskResult
from unlearn_bench.scorers import SCORERS
from unlearn_bench.scorers.base import Scorer

TOLERANCE = 1e-9


def scorers_of(task: TaskResult) -> list[str]:
    """The installed scorers that make the metrics of a task."""
    known = {metric.name for name in SCORERS.names() for metric in SCORERS.get(name).metrics}
    described = {metric.name for metric in DESCRIPTIVE}
    return resolve(name for name in task.metrics if name in known - described)


def settings_of(options: Mapping[str, object]) -> dict[str, object]:
    """Every scorer's options: the defaults, and those that a result records, unknown ones too."""
    return {**default_options(), **options}


def scores_again(sample: Sample, scorers: Iterable[Scorer], settings: Mapping[str, object]) -> dict[str, object]:
    """What a sample's own evidence gives; an answer that is missing has no score."""
    computed: dict[str, object] = {}
    for scorer in scorers:
        if applies(scorer, sample):
            if sample.missing is not None and "answer" in scorer.probes:
                computed.update(dict.fromkeys((metric.name for metric in scorer.metrics), None))
            else:
                computed.update(scorer.score(sample, settings))
    return computed


def label_problems(task: TaskResult, samples: Sequence[Sample]) -> list[str]:
    """Labels (KFR, KRR) that coverage and inference in their own record do not give; cheap enough for `check`."""
    scorers = [SCORERS.get(name) for name in ("kfr", "krr") if name in task.metrics]
    settings = settings_of(task.scorer.options)
    return [
        f"row {sample.id[:60]!r}: {message}"
        for sample in samples
        for message in differences(sample, scores_again(sample, scorers, settings))
    ]


def differences(sample: Sample, computed: Mapping[str, object]) -> Iterator[str]:
    """Where the scores of a sample are not those that `scores_again` gives, in words."""
    for name, expected in computed.items():
        recorded = sample.scores.get(name)
        if not isinstance(expected, (int, float)) or not math.isfinite(expected):
            if recorded is not None:
                yield f"{name} is {recorded:g}, but its evidence cannot be scored"
        elif recorded is None:
            yield f"{name} is not scored, but its evidence gives {expected:g}"
        elif not math.isclose(float(expected), recorded, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{name} is {recorded:g}, its evidence gives {expected:g}"
