"""How often each way of judging agreement is wrong: its verdicts against a reader's labels, as counts.

A verdict is "known" where the probability is 0.5 or more. Each labelled answer was judged by a model that was fitted
without any answer to the same question; over several such divisions a count is a mean, so it may be fractional. The
counts, and no sentence of any answer, are in data/judge_error.json, which `fit_agreement` writes with the weights.
"""

from functools import cache
from typing import Any, Literal, NamedTuple

from unlearn_bench.evidence.agreement import read_data
from unlearn_bench.stats.correction import Confusion

DATA = "data/judge_error.json"
Partly = Literal["left_out", "known", "forgotten"]


class LabelCounts(NamedTuple):
    """A judge's verdicts on labelled answers: for each label (called known, called not known).

    Attributes:
        way: The way of judging agreement, as results name it: "rules", "local:minilm-l6".
        group: Which answers: "all"; "unlearned" (none of a full, target or retrained model); "tofu", "knowundo",
            "muse+rwku"; "golden" (older labels of TOFU answers of full and retrained models, not in "all").
        yes, partly, no: The answer states the knowledge, a part of it, or not.
        questions: Different questions among them: answers to one question are not independent.
        fingerprint: Of the judge that was measured; the counts hold for no other.
        labels_sha256: Hash of the label set: of the hashes of its rows, in order.
    """

    way: str
    group: str
    yes: tuple[float, float]
    partly: tuple[float, float]
    no: tuple[float, float]
    questions: int
    fingerprint: str
    labels_sha256: str

    @property
    def labels(self) -> int:
        """Labelled answers, "partly" among them."""
        return round(sum(self.yes) + sum(self.partly) + sum(self.no))

    def confusion(self, *, positive: Literal["known", "forgotten"] = "known", partly: Partly = "left_out") -> Confusion:
        """The counts as hits, misses, false alarms and rejections.

        Args:
            positive: What the metric's 1 says: "known" for KRR, "forgotten" for KFR.
            partly: What an answer that states a part of the knowledge counts as.
        """
        known, unknown = self.yes, self.no
        if partly == "known":
            known = (known[0] + self.partly[0], known[1] + self.partly[1])
        elif partly == "forgotten":
            unknown = (unknown[0] + self.partly[0], unknown[1] + self.partly[1])
        called_known = Confusion(*known, *unknown)
        return called_known if positive == "known" else Confusion(*called_known[::-1])


def judge_error(way: str, group: str = "all") -> LabelCounts | None:
    """The counts of a way of judging agreement; None where no labels measured it.

    Args:
        way: As results name it (`ScorerInfo.parts["agreement"]`).
        group: See `LabelCounts`.

    >>> counts = judge_error("rules")
    >>> round(counts.confusion().sensitivity, 2), round(counts.confusion().specificity, 2), judge_error("given")
    (0.94, 0.97, None)
    """
    found = _shipped().get(way)
    if found is None or group not in found["groups"]:
        return None
    counts = found["groups"][group]
    yes, partly, no = ((float(counts[label][0]), float(counts[label][1])) for label in ("yes", "partly", "no"))
    return LabelCounts(
        way, group, yes, partly, no, int(counts["questions"]), str(found["fingerprint"]), str(counts["labels_sha256"])
    )


@cache
def _shipped() -> dict[str, Any]:
    return dict(read_data(DATA)["ways"])
