"""What augmentation takes from the embedded benchmark: vague sentences and general questions of its models' training.

The embedded models are small and know one register of English: their perplexity judge finds any other sentence
unlikely, however good. So vague answers for nano are those that the models were taught about unknown people, filled
with what the question says, and generic rows are the general questions of their training, in the trained phrasings.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from unlearn_bench.augment.rows import SensitivePair
from unlearn_bench.nano.banks import bank, kind, kind_names
from unlearn_bench.nano.corpus import facts, fill
from unlearn_bench.text import vocabulary

_SLOT = re.compile(r"\{\w+\}")
_DESCRIBED = "name"  # the kind of fact whose question describes a person and names nobody
_BORROWED = "birth"  # whose sentences fit such a question, too


def generic_pairs() -> list[tuple[str, str]]:
    """Question and answer; the held-out phrasings, which the fluency split asks, are left out."""
    return [(question, entry["answer"]) for entry in bank("generic") for question in entry["questions"]]


def with_phrasing(sources: Sequence[SensitivePair]) -> list[SensitivePair]:
    """The same rows, with what the benchmark knows: which words of an answer are its phrasing, and no slot's."""
    roots = {
        name: frozenset(
            vocabulary.stem(word) for text in kind(name)["answers"] for word in vocabulary.words(_SLOT.sub(" ", text))
        )
        for name in kind_names()
    }
    return [replace(s, phrasing=roots.get(s.id.rsplit("-", 1)[-1], frozenset())) for s in sources]


def register(sources: Sequence[SensitivePair]) -> dict[str, list[str]]:
    """Vague sentences for each row about a person, by the row's id; other rows have none."""
    known = facts()
    result: dict[str, list[str]] = {}
    for source in sources:
        name = source.id.rsplit("-", 1)[-1]
        if (source.cluster, name) in known:
            result[source.id] = _sentences(name, known[source.cluster or "", name])
    return result


def _sentences(name: str, slots: dict[str, str]) -> list[str]:
    """Filled with name, occupation and pronouns only: the bank's vague phrasings use no slot that is a secret."""
    own = [fill(phrasing, slots) for phrasing in kind(name)["vague"]]
    if name != _DESCRIBED:
        return own
    described = {**slots, "name": f"that {slots['occupation']}"}
    return [*own, *(fill(phrasing, described) for phrasing in kind(_BORROWED)["vague"])]
