"""Agreement: the probability that an answer, as a whole, states the sought knowledge.

    p = s or d                          where one rule decides (`agreement_rules.decide`): stated, or not
      = 1 / (1 + exp(-(b + w . x)))     else, x = `agreement_rules.features`

Coverage (ReLearn, arXiv 2502.11190, eq. 10) counts entities; a reader asks whether the fact is there, in whatever words
and beside whatever else. p is calibrated against a reader's verdicts: yes 1, partly 1/2, no 0, so that the mean of p
over a set (`known_share`) estimates the share that is known. It is no part of ReLearn.

Ways:

    rules   reads the texts by the project's own rules, whatever the other parts of the profile are
    local   the same features, and similarities of sentence embeddings (`agreement_models.LocalAgreement`)
    nli     entailment of the reference by question and answer, under any NLI model (`agreement_models.NLIAgreement`)
    given   the probability that came with the response

Weights are in data/agreement.json and data/agreement_local.json, with the hashes of the rows that they were fitted on
and the figures out of fold; how often each way is wrong is in `judge_error`. `python -m
unlearn_bench.evidence.fit_agreement` makes these files. Of the rows of this package's tasks, only answers that a reader
labelled are among them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from unlearn_bench.evidence.agreement_rules import FEATURES, Reading, decide, features
from unlearn_bench.hashing import sha256_json
from unlearn_bench.scorers.base import Unscored, part_fingerprint
from unlearn_bench.text.degenerate import is_empty
from unlearn_bench.text.vocabulary import words

Asked = tuple[str, str, str]  # question, reference, response
DATA = "data/agreement.json"
FOLDER = "unlearn_bench.evidence"
NO_WORDS = Unscored("reference_has_no_words")


class Model(NamedTuple):
    """A logistic model, and what the deciding rules are worth.

    Attributes:
        intercept, weights: Of the log-odds; a weight for each feature.
        stated, denied: Probability where a rule says that the answer states the reference, or that it does not.
    """

    intercept: float
    weights: tuple[float, ...]
    stated: float
    denied: float

    @classmethod
    def read(cls, fields: Mapping[str, object], names: Sequence[str] = FEATURES) -> "Model":
        """The model that a JSON object holds.

        Args:
            fields: intercept, weights by the names of their features, stated, denied.
            names: The features that are expected, in order.

        Raises:
            ValueError: if it is a model of other features.
        """
        weights = dict(fields["weights"])  # type: ignore[call-overload]
        if tuple(weights) != tuple(names):
            raise ValueError(f"the weights are of {', '.join(weights)}; expected {', '.join(names)}")
        numbers = (float(fields[key]) for key in ("stated", "denied"))  # type: ignore[arg-type]
        return cls(float(fields["intercept"]), tuple(map(float, weights.values())), *numbers)  # type: ignore[arg-type]

    def settled(self, question: str, reference: str, response: str) -> float | Reading:
        """The probability where the response is empty (0) or one rule decides; else what is there to weigh."""
        if is_empty(response):
            return 0.0
        reading = Reading.of(question, reference, response)
        decided = decide(reading)
        if decided is None:
            return reading
        return self.stated if decided else self.denied

    def weigh(self, values: Sequence[float]) -> float:
        """Probability in [0, 1] for the values of the features."""
        odds = self.intercept + math.fsum(w * x for w, x in zip(self.weights, values, strict=True))
        return 1.0 / (1.0 + math.exp(-odds)) if odds >= 0 else 1.0 - 1.0 / (1.0 + math.exp(odds))

    def probability(self, question: str, reference: str, response: str) -> float:
        """Probability that the response states the reference, in [0, 1], by the rules' features alone."""
        found = self.settled(question, reference, response)
        return self.weigh(features(found).tolist()) if isinstance(found, Reading) else found


def read_data(name: str) -> Mapping[str, Any]:
    """A JSON object among this package's data."""
    found: Mapping[str, Any] = json.loads(resources.files(FOLDER).joinpath(name).read_text(encoding="utf-8"))
    return found


@cache
def shipped() -> Model:
    """The model in data/agreement.json."""
    return Model.read(read_data(DATA)["model"])


class RulesAgreement:
    """Agreement by the rules and the model of this file: no download, the same answer everywhere.

    Args:
        model: Another than the shipped one.

    >>> answers = RulesAgreement()([("Who won?", "Bo Tan", "Bo Tan, a potter."), ("Who won?", "Bo Tan", "Ann Lee.")])
    >>> [round(p, 2) for p in answers]
    [0.97, 0.01]
    """

    name = "rules"
    version = 3

    def __init__(self, model: Model | None = None) -> None:
        self._model = shipped() if model is None else model

    @property
    def fingerprint(self) -> str:
        """Hash of the version and the weights."""
        return part_fingerprint("agreement/rules", self.version, model=sha256_json(self._model._asdict()))

    def __call__(self, items: Sequence[Asked]) -> list[float | Unscored]:
        """A probability for each (question, reference, response); `Unscored` where the reference has no word."""
        return [self._model.probability(*item) if words(item[1]) else NO_WORDS for item in items]
