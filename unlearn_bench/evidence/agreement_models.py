"""Agreement with the help of a model: `local` (a sentence embedder) and `nli` (an NLI model).

    local:  p = s or d, as in `agreement`; else sigmoid(b + w . x + v . s(q, r, a)), s of `SIMILARITIES`
    nli:    p = sigmoid(b + w log(e / (1 - e))),   e = P(entailment | premise = q a, hypothesis = r);   b = 0, w = 1
            unless the model was calibrated

`local` embeds what no rule decides, in one call. Which similarities it weighs was chosen inside the folds that it was
fitted on (`fit_agreement`): the cosine of answer and reference, each after its question. Out of fold it is as good as
`rules` on the reader's labels, not better (data/agreement_local.json); it is better on answers that are in no fit and
that no rule was made in view of: of TOFU's paraphrases of 200 answers (forget10; retain) it recognises 0.95; 0.88 where
`rules` recognise 0.87; 0.85, and it takes 0.11; 0.08 of the wrong answers in their form for right where `rules` take
0.16; 0.14. The weights are those of all-MiniLM-L6-v2 (`minilm-l6`); with another embedder the probabilities are not
calibrated, and no labels say how often they are wrong.

`nli` is not calibrated as shipped. `fit_agreement --nli MODEL` calibrates a model: intercept and weight of the log-odds
are kept by the model's fingerprint in data/agreement_nli.json.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np

from unlearn_bench.evidence.agreement import NO_WORDS, Asked, Model, RulesAgreement, read_data
from unlearn_bench.evidence.agreement_rules import FEATURES, Reading, features
from unlearn_bench.evidence.inference import Classifier, by_label
from unlearn_bench.evidence.similarity import Embedder
from unlearn_bench.scorers.base import Unscored, part_fingerprint
from unlearn_bench.text.degenerate import is_empty
from unlearn_bench.text.vocabulary import words

LOCAL_DATA = "data/agreement_local.json"
NLI_DATA = "data/agreement_nli.json"
LOG_ODDS = ("log_odds",)
NOT_A_NUMBER = Unscored("embedding_not_a_number")
_MAX_CHARS = 4000  # of a text that is embedded: embedders read a few hundred tokens
_MAX_QUESTION = 500  # characters: the end of a long question, so that it leaves room for the answer
_MAX_PIECES = 64  # sentences or entities
_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_LEAST = 1e-6  # probabilities nearer to 0 and 1 have no larger log-odds

Texts = tuple[list[str], list[str]]


def _in_context(reading: Reading) -> Texts:
    question = reading.question[-_MAX_QUESTION:]
    return [f"{question} {reading.reference}"], [f"{question} {reading.response}"]


def _sentences(text: str) -> list[str]:
    found = (sentence.strip() for sentence in _SENTENCE.split(text))
    return [sentence for sentence in found if sentence][:_MAX_PIECES] or [text]


SIMILARITIES: Mapping[str, Callable[[Reading], Texts]] = {
    "whole": lambda reading: ([reading.reference], [reading.response]),
    "in_context": _in_context,  # each after its question
    "best_sentence": lambda reading: ([reading.reference], _sentences(reading.response)),
    "particulars": lambda reading: (
        reading.new[:_MAX_PIECES] or [reading.reference],
        [*reading.said[:_MAX_PIECES], reading.response],
    ),
}
"""Name to the texts that are compared: the mean over the reference's of the largest cosine with one of the answer's."""


def similarities(readings: Sequence[Reading], embedder: Embedder, names: Sequence[str]) -> np.ndarray:
    """Similarities of reference and answer, from one call of the embedder.

    Args:
        readings: What is compared.
        embedder: Any scale of its vectors; a vector without length is similar to nothing.
        names: Of `SIMILARITIES`.

    Returns:
        Shape (len(readings), len(names)), cosines in [-1, 1]; NaN where the embedder returned one.
    """
    sides = [[SIMILARITIES[name](reading) for name in names] for reading in readings]
    texts = [text[:_MAX_CHARS] for row in sides for pair in row for side in pair for text in side]
    different = list(dict.fromkeys(texts))
    if not different:
        return np.zeros((len(readings), len(names)))
    vectors = np.asarray(embedder.encode(different), dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = dict(
        zip(different, np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths != 0), strict=True)
    )

    def compare(pair: Texts) -> float:
        wanted, said = (np.array([unit[text[:_MAX_CHARS]] for text in side]) for side in pair)
        return float(np.clip(wanted @ said.T, -1.0, 1.0).max(axis=1).mean())

    return np.array([[compare(pair) for pair in row] for row in sides])


@cache
def shipped_local() -> tuple[tuple[str, ...], Model]:
    """The similarities that `local` weighs, and its model: what data/agreement_local.json holds."""
    fields = read_data(LOCAL_DATA)
    names = tuple(fields["similarities"])
    return names, Model.read(fields["model"], (*FEATURES, *names))


class LocalAgreement:
    """Agreement by the rules' features and similarities of sentence embeddings.

    Args:
        embedder: Has `encode(list[str]) -> array (n, d)`; its `name` and `fingerprint`, where it has them, become part
            of this part's.
        fitted: Names of similarities, and the model that weighs them after the rules' features; None for the shipped.
    """

    version = 1

    def __init__(self, embedder: Embedder, fitted: tuple[tuple[str, ...], Model] | None = None) -> None:
        self._embedder = embedder
        self._similarities, self._model = shipped_local() if fitted is None else fitted
        self.name = f"local:{getattr(embedder, 'name', type(embedder).__name__)}"

    @property
    def fingerprint(self) -> str:
        """Hash of the versions, the weights and the embedder."""
        return part_fingerprint(
            "agreement/local",
            self.version,
            rules=RulesAgreement.version,
            similarities=self._similarities,
            model=self._model,
            embedder=getattr(self._embedder, "fingerprint", self.name),
        )

    def __call__(self, items: Sequence[Asked]) -> list[float | Unscored]:
        """A probability for each (question, reference, response).

        `Unscored` where the reference has no word, or the embedder returned NaN.
        """
        found = [self._model.settled(*item) if words(item[1]) else NO_WORDS for item in items]
        open_ = {i: reading for i, reading in enumerate(found) if isinstance(reading, Reading)}
        similar = similarities(list(open_.values()), self._embedder, self._similarities)
        for (i, reading), row in zip(open_.items(), similar, strict=True):
            known = np.isfinite(row).all()
            found[i] = self._model.weigh([*features(reading).tolist(), *row.tolist()]) if known else NOT_A_NUMBER
        return found  # type: ignore[return-value]  # no reading is left


def log_odds(probability: float) -> float:
    """ln(p / (1 - p)), of p held to [1e-6, 1 - 1e-6]; NaN stays NaN.

    >>> log_odds(0.5), round(log_odds(1.0), 1)
    (0.0, 13.8)
    """
    held = min(max(probability, _LEAST), 1 - _LEAST)
    return probability if math.isnan(probability) else math.log(held / (1 - held))


def calibrated(fingerprint: str) -> Model | None:
    """The calibration of an NLI model, if data/agreement_nli.json has one of it."""
    fields = read_data(NLI_DATA)["models"].get(fingerprint)
    return None if fields is None else Model.read(fields["model"], LOG_ODDS)


class NLIAgreement:
    """Agreement as entailment of the reference by question and answer.

    Args:
        classifier: Has `predict`; its `name` and `fingerprint`, where it has them, become part of this part's.
        calibration: Intercept and weight of the log-odds; None for those of `calibrated`, else 0 and 1.
    """

    version = 1

    def __init__(self, classifier: Classifier, calibration: Model | None = None) -> None:
        self._classifier = classifier
        self.name = f"nli:{getattr(classifier, 'name', type(classifier).__name__)}"
        self._judge = getattr(classifier, "fingerprint", self.name)
        self._calibration = calibrated(self._judge) if calibration is None else calibration

    @property
    def fingerprint(self) -> str:
        """Hash of the version, the model and its calibration."""
        return part_fingerprint("agreement/nli", self.version, model=self._judge, calibration=self._calibration)

    def entailment(self, items: Sequence[Asked]) -> list[float]:
        """P(entailment) for each (question, reference, response), in [0, 1] or NaN, from one call of the classifier.

        Raises:
            UserError: if the classifier's labels are not inference labels.
        """
        pairs = [(f"{question} {response}".strip(), reference) for question, reference, response in items]
        return [float(by_label(scores)["entailment"]) for scores in self._classifier.predict(pairs)] if pairs else []

    def __call__(self, items: Sequence[Asked]) -> list[float | Unscored]:
        """A probability for each (question, reference, response): 0 for an empty response."""
        asked = list(dict.fromkeys(item for item in items if not is_empty(item[2]) and words(item[1])))
        entailed = dict(zip(asked, self.entailment(asked), strict=True))
        return [self._of(item, entailed) for item in items]

    def _of(self, item: Asked, entailed: Mapping[Asked, float]) -> float | Unscored:
        if item not in entailed:
            return 0.0 if words(item[1]) else NO_WORDS
        probability = entailed[item]
        if math.isnan(probability):
            return Unscored("nli_not_a_number")
        return probability if self._calibration is None else self._calibration.weigh([log_odds(probability)])
