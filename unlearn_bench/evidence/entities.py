"""Entities of a text: what a reader would check an answer for.

    entities(text) = e-mails, links, addresses, quoted titles, dates, numbers, names, content words, in order, each once

ReLearn (arXiv 2502.11190, section 4.1) asks an LLM for them and describes no rule. Three extractors:

- `rules` (RulesExtractor): the list above by rules, offline and deterministic. A *name* is a run of capitalised words
  that is not just the start of a sentence, with the small words inside ("University of Karachi"); a *content word* is
  any other word that is not a function word. Dates, times, amounts and the like get one notation (text/values.py).
- `llm` (LLMExtractor): a chat model; a failed extraction is unscored, where the released code takes it for "no entity",
  which then counts as forgotten.
- `given`: what came with the responses.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from importlib import resources
from typing import Protocol

from unlearn_bench.scorers.base import Unscored, part_fingerprint
from unlearn_bench.text import vocabulary
from unlearn_bench.text.values import Span, special_spans, standard

MAX_ENTITIES = 2000  # per text: more than any answer has, and a bound for the matrix of a 100,000-character one
_LONGEST_NAME = 8  # words; a longer run of capitals is a heading or shouting, and is read word by word

_CONNECTORS = frozenset("of de da do dos del della di du la le van von der den bin ibn al el y e".split())  # noqa: SIM905
_PLACE_STARTS = frozenset("north south east west new united latin central".split())  # noqa: SIM905
_SENTENCE_END = frozenset('.!?:;\n"•*')


class RulesExtractor:
    """Entities by rules: no model, no download, the same answer everywhere.

    >>> RulesExtractor()(["Ann Lee, born on June 9, 1951, wrote 'Salt Roads' in Oslo; she kept seven bees."])
    [['Ann Lee', 'born', '1951-06-09', 'wrote', 'Salt Roads', 'Oslo', 'kept', '7', 'bees']]
    """

    name = "rules"
    version = 3

    @property
    def fingerprint(self) -> str:
        """Hash of the version of the rules."""
        return part_fingerprint("entities/rules", self.version)

    def __call__(self, texts: Sequence[str]) -> list[list[str] | Unscored]:
        """Extract from each text; repeated texts are read once. At most `MAX_ENTITIES` of each."""
        seen: dict[str, list[str]] = {}
        for text in texts:
            if text not in seen:
                seen[text] = extract(text)
        return [list(seen[text]) for text in texts]


def extract(text: str) -> list[str]:
    """Entities of one text by rules, in order of appearance, one for each root.

    >>> extract("No, it was Ann. Ann's mail is ann@sea.org")
    ['Ann', 'mail', 'ann@sea.org']
    """
    return list(_extract(text))


@lru_cache(maxsize=4096)  # coverage and agreement read the same texts
def _extract(text: str) -> tuple[str, ...]:
    return tuple(_distinct(typed_spans(standard(text))))


@lru_cache(maxsize=2048)  # entities and inference read the same texts
def typed_spans(text: str) -> tuple[Span, ...]:
    """(start, end, entity, kind) of everything in a cleaned text, in order of appearance, repetitions included."""
    spans = special_spans(text)
    return tuple(sorted([*spans, *_word_spans(text, spans)], key=lambda span: span[0]))


class _Token:
    """A word outside the special spans, and whether it is capitalised, opens a sentence, touches the word before."""

    __slots__ = ("capital", "end", "gap", "initial", "start", "text")

    def __init__(self, text: str, start: int, end: int, gap: str | None) -> None:
        self.text, self.start, self.end, self.gap = text, start, end, gap
        self.capital = text[0].isupper() or (text[0].isdigit() and not text.isdigit() and text[-1].isupper())
        self.initial = gap is None or not _SENTENCE_END.isdisjoint(gap)


def _tokens(text: str, taken: Sequence[Span]) -> list[_Token]:
    tokens: list[_Token] = []
    position, spans = 0, iter([*taken, (len(text), len(text), "", "word")])
    span = next(spans)
    for match in vocabulary.WORD.finditer(text):
        while span[1] <= match.start() and span[0] < len(text):
            position, span = max(position, span[1]), next(spans)
        if match.end() <= span[0]:
            gap = text[position : match.start()] if match.start() - position < 40 else "\n"
            first = not tokens and not text[: match.start()].strip(" \"'-*#")[:1]
            touches = bool(tokens) and tokens[-1].end == position
            tokens.append(
                _Token(match.group(), match.start(), match.end(), None if first else gap if touches else " , " + gap)
            )
        position = match.end()
    return tokens


def _word_spans(text: str, taken: Sequence[Span]) -> list[Span]:
    tokens = _tokens(text, taken)
    inside = {t.text for t in tokens if t.capital and not t.initial}
    spans: list[Span] = []
    i = 0
    while i < len(tokens):
        run = _name_run(tokens, i, inside)
        if run and len(run) <= _LONGEST_NAME and not _is_phrase(run):
            name = " ".join(_bare(t.text) for t in run)
            spans.append((run[0].start, run[-1].end, name, "name"))
            i += len(run)
        else:
            several = max(1, len(run)) if len(run) > _LONGEST_NAME else 1
            for token in tokens[i : i + several]:
                spans += _content(token)
            i += several
    return spans


def _name_run(tokens: list[_Token], i: int, inside: set[str]) -> list[_Token]:
    """The capitalised words from token `i` on, small words inside; longer than a name, it is read word by word."""
    if not _opens_name(tokens, i, inside):
        return []
    run = [tokens[i]]
    for j in range(i + 1, len(tokens)):
        token = tokens[j]
        if token.gap != " " and not (token.gap == ". " and len(run[-1].text) == 1):
            break
        if run[-1].text.endswith("'s") or not (token.capital or token.text in _CONNECTORS):
            break
        run.append(token)
    while not run[-1].capital:
        run.pop()
    return run


def _is_phrase(run: list[_Token]) -> bool:
    """Common words that some writers capitalise ("Marine Biologist") are read word by word."""
    if (
        any(vocabulary.fold(t.text) in vocabulary.NAME_HEADS for t in run)
        or vocabulary.fold(run[0].text) in _PLACE_STARTS
    ):
        return False
    return all(vocabulary.is_common(t.text) or not t.capital for t in run)


def _opens_name(tokens: list[_Token], i: int, inside: set[str]) -> bool:
    token = tokens[i]
    if not token.capital or vocabulary.is_stopword(token.text):
        return False
    if not token.initial or token.text in inside or any(c.isupper() or c.isdigit() for c in token.text[1:]):
        return True
    follows = i + 1 < len(tokens) and tokens[i + 1].capital and tokens[i + 1].gap == " "
    return follows and not vocabulary.is_common(token.text)


def _content(token: _Token) -> list[Span]:
    parts = [p for whole in token.text.split("-") for p in vocabulary.split_unspaced(_bare(whole))]
    kept = [p for p in parts if p and (len(p) > 1 or not p.isascii()) and not vocabulary.is_stopword(p)]
    capital = token.capital and not token.initial
    return [(token.start, token.end, part if capital else part.lower(), "word") for part in kept]


def _bare(word: str) -> str:
    return word[:-2] if word.endswith(("'s", "'S")) else word


def _distinct(spans: Iterable[Span]) -> list[str]:
    kept: dict[tuple[str, ...], str] = {}
    partial: set[tuple[str, ...]] = set()  # "Lee" after "Ann Lee" is not a second entity
    for _, _, entity, kind in spans:
        named = kind in ("name", "title", "word")
        roots = tuple(vocabulary.stem(w) for w in vocabulary.words(entity)) if named else (entity,)
        if entity and roots not in partial and len(kept) < MAX_ENTITIES:
            kept.setdefault(roots or (entity,), entity)
            if named and len(roots) <= _LONGEST_NAME and entity[0].isupper():
                partial.update({roots[:1], roots[-1:]} - kept.keys())
    return list(kept.values())


class ChatClient(Protocol):
    """The part of an OpenAI-compatible client that extraction needs: one JSON object, or a failure, for each chat."""

    def complete_json_many(
        self, messages: Sequence[list[dict[str, str]]], *, schema: dict[str, object]
    ) -> Sequence[object]: ...


ENTITY_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"entities": {"type": "array", "items": {"type": "string"}}},
    "required": ["entities"],
    "additionalProperties": False,
}


class LLMExtractor:
    """Entities by a chat model behind an OpenAI-compatible endpoint, as in the paper, with data/entities_prompt.txt.

    Args:
        client: Answers chats with JSON objects (`complete_json_many`); anything but an object is a failure. Its
            `model` (or `name`) and, where it has one, `fingerprint` become part of this part's.
    """

    version = 1

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        self.name = f"llm:{getattr(client, 'model', None) or getattr(client, 'name', 'unnamed')}"

    @cached_property
    def prompt(self) -> str:
        """The instruction sent before each text."""
        return (
            resources.files("unlearn_bench.evidence")
            .joinpath("data/entities_prompt.txt")
            .read_text(encoding="utf-8")
            .strip()
        )

    @property
    def fingerprint(self) -> str:
        """Hash of the version, the prompt and the endpoint's model."""
        client = getattr(self._client, "fingerprint", self.name)
        return part_fingerprint("entities/llm", self.version, client=client, prompt=self.prompt)

    def __call__(self, texts: Sequence[str]) -> list[list[str] | Unscored]:
        """Extract from each text; a failure is `Unscored`, never "none"."""
        chats = [self._messages(text) for text in texts if text.strip()]
        replies = iter(self._client.complete_json_many(chats, schema=ENTITY_SCHEMA) if chats else [])
        return [_from_reply(next(replies)) if text.strip() else [] for text in texts]

    def _messages(self, text: str) -> list[dict[str, str]]:
        # JSON-quoted, so that a text which reads like an instruction stays a text
        return [
            {"role": "system", "content": self.prompt},
            {"role": "user", "content": json.dumps({"text": text}, ensure_ascii=False)},
        ]


def _from_reply(reply: object) -> list[str] | Unscored:
    found = reply.get("entities") if isinstance(reply, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(e, str) for e in found):
        return Unscored("entity_extraction_failed")
    return list(dict.fromkeys(e.strip() for e in found if e.strip()))
