"""Question variants by rules: rephrased, with context, noisy, reversed. The frames are data/question_frames.json."""

import json
import re
from functools import cache
from pathlib import Path

from unlearn_bench.augment._questions import Question, parse
from unlearn_bench.augment._topic import Topic
from unlearn_bench.augment._verbs import AUXILIARIES
from unlearn_bench.augment.rows import Variant
from unlearn_bench.seeded import SeededRandom

Frames = dict[str, dict[str, list[str]]]
_OPENERS = AUXILIARIES | frozenset(
    """what which who whom whose where when why how in at on by for from to under with of about through since during
    please tell give name describe state explain list say show provide share mention identify outline discuss
    recall a an the""".split()  # noqa: SIM905
)
_TYPO_LETTERS = 5  # shorter words are not misspelt: they would become other words


@cache
def frames() -> Frames:
    """The frames, read once; not to be changed."""
    return json.loads((Path(__file__).parent / "data" / "question_frames.json").read_text(encoding="utf-8"))


def variant(kind: Variant, question: str, topic: Topic, draw: SeededRandom, attempt: int) -> str | None:
    """The variant of a kind at the given attempt; None after the last candidate."""
    if kind == "noise":
        return _noise(question, topic, draw, attempt)
    asked = parse(question)
    candidates = {"simple": _simple, "context": _context, "logical": _logical}[kind](asked, topic)
    ordered = [text for group in candidates for text in draw.shuffled(group)]
    return ordered[attempt] if attempt < len(ordered) else None


def _simple(asked: Question, topic: Topic) -> list[list[str]]:
    """Candidates in groups, the most natural first."""
    groups = frames()["simple"]
    slots = _slots(asked, topic)
    first = [
        _fill(frame, {**slots, "x": x})
        for name, x in (("indirect", asked.indirect), ("noun_phrase", asked.noun_phrase), ("act", asked.act))
        if x
        for frame in groups[name]
    ]
    return [first, [_fill(frame, slots) for frame in groups["any"]]]


def _context(asked: Question, topic: Topic) -> list[list[str]]:
    slots = _slots(asked, topic)
    return [[_fill(frame, slots) for frame in frames()["context"][topic.kind]]]


def _logical(asked: Question, topic: Topic) -> list[list[str]]:
    """The reverse relationship: from the answer back to the one asked about, as far as the parts allow it."""
    groups = frames()["logical"]
    slots = _slots(asked, topic)
    result: list[list[str]] = []
    key = asked.type if asked.head == asked.type or asked.type == "yes_no" else ""
    if asked.statement and key in ("where", "when", "why", "how", "yes_no"):
        statement = asked.statement.replace(" ever ", " ")  # which belongs to questions only
        result.append([_fill(f, {**slots, "statement": statement}) for f in groups[key]])
    if asked.type == "who" and asked.head == "who" and asked.subject and len((asked.predicate or "").split()) == 1:
        result.append([_fill(f, {**slots, "x": asked.subject}) for f in groups["who_is"]])
    for name, x in (("noun_phrase", asked.noun_phrase), ("indirect", asked.indirect), ("act", asked.act)):
        if x:
            result.append([_fill(f, {**slots, "x": x}) for f in groups[name]])
    return [*result, [_fill(frame, slots) for frame in groups["any"]]]


def _slots(asked: Question, topic: Topic) -> dict[str, str]:
    text = asked.text
    first = text.split(maxsplit=1)[0]
    lowered = text[0].lower() + text[1:] if first.lower().rstrip(",") in _OPENERS else text
    quoted = f"“{text}”" if '"' in text else f'"{text}"'
    return {"q": lowered, "Q": text, "quoted": quoted, "topic": topic.name}


def _fill(frame: str, slots: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: slots[match[1]], frame)


def _noise(question: str, topic: Topic, draw: SeededRandom, attempt: int) -> str:
    """Typed in a hurry: lower case, short forms, a typo or two, no care for punctuation. The name stays readable."""
    for _ in range(attempt):
        draw.below(7)  # another attempt, another text
    bank = frames()["noise"]
    text = question.rstrip(" ?!.")
    kept = set(topic.name.split())
    shortened = 0
    for full, short in draw.shuffled(sorted(dict(bank["words"]).items())):
        pattern = re.compile(rf"\b{re.escape(full)}\b", re.IGNORECASE)
        if shortened < 2 and full.split()[0] not in kept and pattern.search(text):
            text, shortened = pattern.sub(short, text, count=1), shortened + 1
    words = text.split()
    long = [i for i, w in enumerate(words) if w.isalpha() and w.islower() and len(w) >= _TYPO_LETTERS]
    for i in draw.shuffled(long)[: 1 if shortened else 2]:
        words[i] = _typo(words[i], draw)
    text = draw.pick(bank["lead"]) + " ".join(words)
    return (text.lower() if draw.below(3) else text[0].lower() + text[1:]) + draw.pick(bank["end"])


def _typo(word: str, draw: SeededRandom) -> str:
    """Two letters swapped, one left out, or one typed twice; the first letter stays."""
    i = 1 + draw.below(len(word) - 2)
    return draw.pick(
        (word[:i] + word[i + 1] + word[i] + word[i + 2 :], word[:i] + word[i + 1 :], word[: i + 1] + word[i:])
    )
