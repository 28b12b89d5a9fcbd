"""Agreement: the probability that an answer, as a whole, states the sought knowledge.

    p = s or d                          where one rule decides (`agreement_rules.decide`): stated, or not
      = 1 / (1 + exp(-(b + w . x)))     else, x = `agreement_rules.features`

Coverage (ReLearn, arXiv 2502.11190, eq. 10) counts entities; a reader asks whether the fact is there, in whatever words
and beside whatever else. p is calibrated against a reader's verdicts: yes 1, partly 1/2, no 0, so that the mean of p
over a set (`known_share`) estimates the share that is known. It is no part of ReLearn.

Ways: `rules` (RulesAgreement), which reads the texts by the project's own rules whatever the other parts of the profile
are. The weights are in data/agreement.json, with the hashes of the rows that they were fitted on and the figures out of
fold; `python -m unlearn_bench.evidence.fit_agreement` makes that file. Of the rows of this package's tasks, only
answers that a reader labelled are among them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from unlearn_bench.evidence.agreement_rules import FEATURES, Reading, decide, features
from unlearn_bench.hashing import sha256_json
from unlearn_bench.scorers.base import Unscored, part_fingerprint
from unlearn_bench.text.degenerate import is_empty
from unlearn_bench.text.vocabulary import words

Asked = tuple[str, str, str]  # question, reference, response
DATA = "data/agreement.json"
NO_WORDS = Unscored("reference_has_no_words")


class Model(NamedTuple):
    """A logistic model, and what the deciding rules are worth.

    Attributes:
        intercept, weights: Of the log-odds; a weight for each of `FEATURES`.
        stated, denied: Probability where a rule says that the answer states the reference, or that it does not.
    """

    intercept: float
    weights: tuple[float, ...]
    stated: float
    denied: float

    @classmethod
    def read(cls, fields: Mapping[str, object]) -> "Model":
        """The model that a JSON object holds.

        Raises:
            ValueError: if it is a model of other features.
        """
        weights = dict(fields["weights"])  # type: ignore[call-overload]
        if tuple(weights) != FEATURES:
            raise ValueError(f"the weights are of {', '.join(weights)}; expected {', '.join(FEATURES)}")
        numbers = (float(fields[key]) for key in ("stated", "denied"))  # type: ignore[arg-type]
        return cls(float(fields["intercept"]), tuple(map(float, weights.values())), *numbers)  # type: ignore[arg-type]

    def probability(self, question: str, reference: str, response: str) -> float:
        """Probability that the response states the reference, in [0, 1]; 0 for an empty response."""
        if is_empty(response):
            return 0.0
        reading = Reading.of(question, reference, response)
        decided = decide(reading)
        if decided is not None:
            return self.stated if decided else self.denied
        odds = self.intercept + math.fsum(w * x for w, x in zip(self.weights, features(reading).tolist(), strict=True))
        return 1.0 / (1.0 + math.exp(-odds)) if odds >= 0 else 1.0 - 1.0 / (1.0 + math.exp(odds))


@cache
def shipped() -> Model:
    """The model in data/agreement.json."""
    text = resources.files("unlearn_bench.evidence").joinpath(DATA).read_text(encoding="utf-8")
    return Model.read(json.loads(text)["model"])


class RulesAgreement:
    """Agreement by the rules and the model of this file: no download, the same answer everywhere.

    Args:
        model: Another than the shipped one.

    >>> answers = RulesAgreement()([("Who won?", "Bo Tan", "Bo Tan, a potter."), ("Who won?", "Bo Tan", "Ann Lee.")])
    >>> [round(p, 2) for p in answers]
    [0.97, 0.01]
    """

    name = "rules"
    version = 2

    def __init__(self, model: Model | None = None) -> None:
        self._model = shipped() if model is None else model

    @property
    def fingerprint(self) -> str:
        """Hash of the version and the weights."""
        return part_fingerprint("agreement/rules", self.version, model=sha256_json(self._model._asdict()))

    def __call__(self, items: Sequence[Asked]) -> list[float | Unscored]:
        """A probability for each (question, reference, response); `Unscored` where the reference has no word."""
        return [self._model.probability(*item) if words(item[1]) else NO_WORDS for item in items]
