"""calibration.json: a judge's verdicts against a person's labels, as numbers; no sentence of the answers is in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from unlearn_bench.files import write_atomically
from unlearn_bench.hashing import sha256_json
from unlearn_bench.results.reading import validated
from unlearn_bench.schema import Finite, Sample, ScorerInfo, Sha256, Strict
from unlearn_bench.stats.correction import Confusion
from unlearn_bench.untrusted import strict_json

VERSION = "1.0"
MAX_BYTES = 32 << 20
_WRITTEN_BY = "`unlearn-bench calibrate` writes it"
Known = Literal["yes", "partly", "no"]
Count = Annotated[Finite, Field(ge=0)]

SAYS_KNOWN: Mapping[str, bool] = {"kfr": False, "krr": True, "judge_forgotten": False, "judge_retained": True}
"""Metric to whether its 1 says that the answer shows the knowledge."""


class JudgeError(Strict):
    """Verdicts of one metric against labels; see `stats.correction.Confusion`. Weighted draws give fractions.

    The counts add up to the effective number of labels: at least 1, at most `answers`.

    Attributes:
        fingerprint: Of the metric that was judged: the error is that of this scorer, these parts and settings alone.
        answers: Labelled answers behind the counts.
        scorer: What the fingerprint is made of, to name the difference from another; None in older calibrations.
    """

    fingerprint: Sha256
    answers: int = Field(ge=1)
    scorer: ScorerInfo | None = None
    hits: Count
    misses: Count
    false_alarms: Count
    rejections: Count

    @model_validator(mode="after")
    def _counts_are_of_the_answers(self) -> "JudgeError":
        total = sum(self.confusion())
        if not 1 - 1e-6 <= total <= self.answers * (1 + 1e-6):
            raise ValueError(f"the counts add up to {total:g}, of {self.answers} labelled answers")
        return self

    def confusion(self) -> Confusion:
        """The counts."""
        return Confusion(self.hits, self.misses, self.false_alarms, self.rejections)


class Labels(Strict):
    """Where the labels come from.

    Attributes:
        reader: Who labelled, as they wish to be named.
        sha256: Over the labels: two calibrations of the same labels share it.
        results: Fingerprints of the results whose answers were labelled.
        partly: What an answer that shows a part of the knowledge counts as; "left_out": as nothing.
        of: Which answers were labelled, in words.
    """

    reader: str
    sha256: Sha256
    results: list[Sha256]
    partly: Literal["known", "forgotten", "left_out"]
    of: str = ""


class Calibration(Strict):
    """A judge's error, and the labels by the hash of what was read (`answer_key`)."""

    schema_version: Literal["1.0"] = VERSION
    labels: Labels
    metrics: dict[str, JudgeError]
    answers: dict[Sha256, Known]


def answer_key(sample: Sample) -> str:
    """Identity of what a reader sees: question, reference answer and answer."""
    return sha256_json([sample.question, sample.reference, sample.response])


def is_known(label: Known, partly: str) -> bool:
    """A label as the judge's question: does the answer show the knowledge?"""
    return label == "yes" or (label == "partly" and partly == "known")


def read_calibration(path: Path | None) -> Calibration | None:
    """Read a calibration; None if no file is named.

    Raises:
        UserError: if it cannot be read or does not follow the schema.
    """
    if path is None:
        return None
    text = strict_json.read_text(path, limit=MAX_BYTES, what="calibration", hint=_WRITTEN_BY)
    where, otherwise = f"calibration {path}", " does not follow the schema"
    return validated(Calibration, text, where=where, otherwise=otherwise, hint=_WRITTEN_BY)


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write it whole or not at all."""
    write_atomically(path, [strict_json.pretty(calibration.model_dump(mode="json"))])
