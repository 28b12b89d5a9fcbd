"""Natural language inference: does the answer contradict the reference?

    label = argmax P(label | premise, hypothesis)      in {entailment, neutral, contradiction}

Direction (ReLearn, arXiv 2502.11190, eq. 1 and 2; the pipeline applies it): forget: premise = answer, hypothesis =
reference; retain: premise = reference, hypothesis = answer. Only "contradiction" is used. The released code compares
the label with the lower-case word, so a model that says CONTRADICTION, or LABEL_0, silently switches inference off;
here labels map in any case, and labels that cannot be mapped are an error. Parts: `rules` (RulesNLI), any
classifier (ModelNLI), `given`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from unlearn_bench.errors import UserError
from unlearn_bench.evidence import inference_rules
from unlearn_bench.models.nli import LABELS, map_labels
from unlearn_bench.schema import NLILabel
from unlearn_bench.scorers.base import Inference, Unscored, part_fingerprint

TextPair = tuple[str, str]


class RulesNLI:
    """Inference by rules (see `inference_rules`): offline, deterministic. Its probabilities are fixed weights.

    >>> RulesNLI()([("Ann was born on May 3, 1990.", "Ann was born on June 9, 1951.")])
    [Inference(label='contradiction', probability=0.9)]
    """

    name = "rules"
    version = 3

    @property
    def fingerprint(self) -> str:
        """Hash of the version of the rules."""
        return part_fingerprint("nli/rules", self.version)

    def __call__(self, pairs: Sequence[TextPair]) -> list[Inference | Unscored]:
        """A verdict for each (premise, hypothesis)."""
        return [inference_rules.infer(*pair) for pair in pairs]


class Classifier(Protocol):
    """(premise, hypothesis) pairs to a probability for each label, named as the model's id2label names it."""

    def predict(self, pairs: Sequence[TextPair]) -> Sequence[Mapping[str, float]]: ...


class ModelNLI:
    """Inference by a sequence-classification model that arrives as an argument.

    Args:
        classifier: Has `predict`; its `name` and `fingerprint`, where it has them, become part of this part's.
    """

    version = 1

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.name = f"model:{getattr(classifier, 'name', type(classifier).__name__)}"

    @property
    def fingerprint(self) -> str:
        """Hash of the version and the model."""
        model = getattr(self._classifier, "fingerprint", self.name)
        return part_fingerprint("nli/model", self.version, model=model)

    def __call__(self, pairs: Sequence[TextPair]) -> list[Inference | Unscored]:
        """A verdict for each pair, from one call of the classifier.

        Raises:
            UserError: if the classifier's labels are not inference labels.
        """
        return [_verdict(scores) for scores in self._classifier.predict(pairs)] if pairs else []


def by_label(scores: Mapping[str, float]) -> dict[NLILabel, float]:
    """A classifier's probabilities by inference label.

    Raises:
        UserError: if its labels are not inference labels.
    """
    labels = map_labels(list(scores))
    if labels is None:
        raise UserError(
            f"the NLI model's labels are {', '.join(map(repr, scores))}; expected {', '.join(LABELS)} (in any case)",
            hint="set id2label in the model's config.json, choose another model, or use --nli rules",
        )
    return {labels[name]: float(p) for name, p in scores.items()}


def _verdict(scores: Mapping[str, float]) -> Inference | Unscored:
    found = by_label(scores)
    if any(p != p for p in found.values()):  # NaN
        return Unscored("nli_not_a_number")
    best = max(found, key=lambda label: found[label])
    return Inference(best, found[best])
