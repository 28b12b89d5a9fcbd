"""One number of a result, with its interval, what could not be scored, and what stands beside it."""

from pydantic import Field

from unlearn_bench.schema_base import Finite, Sha256, Share, Strict

CANNOT_READ = "judge_cannot_read"  # why LS and perplexity are unscored: their model knows other text only


class CorrectedValue(Strict):
    """A share corrected for the error of the judge that made it, by a person's labels.

    Attributes:
        ci_method: "post_stratified" (by labels of these very answers) or "lang_reiczigel" (by the judge's sensitivity
            and specificity on others); see `stats.correction`.
        labels: Labelled answers behind it; of a weighted draw their effective number.
        labels_sha256: Hash of the labels.
        known_found, unknown_found: Share of the answers labelled known that the judge calls known, and of the others
            that it does not; None where the correction does not use them.
        basis: What it rests on, in words.
    """

    value: Share
    ci95: tuple[Share, Share]
    ci_method: str
    labels: int = Field(ge=0)
    labels_sha256: Sha256
    known_found: Share | None = None
    unknown_found: Share | None = None
    basis: str = ""


class NeverKnew(Strict):
    """What a model that never knew scores on the same questions, as published.

    Attributes:
        source: Which model, and where its value is published.
    """

    value: Finite
    source: str


class Place(Strict):
    """Where a number lies between the checkpoint before unlearning (0) and one that never saw the forget set (1).

    Attributes:
        value: None where the two do not differ beyond their noise.
        ci95: 95 % interval; None where the number has none.
        original, oracle: Their values.
        over_forgotten: On forget rows, and beyond 1 with its whole interval.
    """

    value: Finite | None
    ci95: tuple[Finite, Finite] | None = None
    original: Finite
    oracle: Finite
    over_forgotten: bool = False


class MetricValue(Strict):
    """One number of a result.

    Attributes:
        value: None when no sample could be scored: undefined is not zero.
        ci95: 95 % interval, None where it is undefined (n < 2).
        ci_method: "wilson", "cluster_wilson", "bootstrap" or "cluster_bootstrap".
        n: Scored samples behind the value.
        unscored: Samples that could not be scored.
        unscored_reasons: Reason to count.
        higher_is_better: None for a number that is only descriptive.
        corrected: The value without the judge's error, where that is known.
        not_corrected: Why there is no such value, of a metric that is a judge's verdict.
        place: Where the value lies between original and oracle, where both were given.
        never_knew: What a model that never knew scores, where that is published: forgetting ends there.
    """

    value: Finite | None
    ci95: tuple[Finite, Finite] | None = None
    ci_method: str | None = None
    n: int = Field(ge=0)
    unscored: int = Field(ge=0, default=0)
    unscored_reasons: dict[str, int] = {}
    higher_is_better: bool | None = None
    corrected: CorrectedValue | None = None
    never_knew: NeverKnew | None = None
    not_corrected: str | None = None
    place: Place | None = None

    @property
    def unreadable(self) -> bool:
        """Whether there is no value because the perplexity model cannot read the text: nothing can be ranked by it."""
        return self.value is None and CANNOT_READ in self.unscored_reasons
