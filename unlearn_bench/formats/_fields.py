"""Question, reference and response in a row of any program: which key is which, and what a value says.

A row's own key wins; then the first alias that is there, in lower case and with "_" for spaces, hyphens and capitals
("Model Answer", "modelAnswer"). `answer` is the reference, as in TOFU's files, unless the row names another one and
no response: then it is the response. A chat (`messages`, `conversations`) gives the last question and its answer. A
`Mapping` of the command line (`--map`) comes before all of that.
"""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from unlearn_bench.data.pairs import MESSAGES, ROLES
from unlearn_bench.errors import UserError
from unlearn_bench.formats._readings import Malformed
from unlearn_bench.registry import did_you_mean
from unlearn_bench.text import answer

ALIASES: dict[str, tuple[str, ...]] = {
    "question": ("query", "prompt", "instruction", "input", "problem", "user_prompt", "q"),
    "reference": (
        "ground_truth", "gt", "gold", "gold_answer", "reference_answer", "correct_answer", "expected",
        "expected_answer", "expected_output", "target",
    ),
    "response": (
        "generated_response", "prediction", "pred", "predicted_answer", "generation", "generated", "generated_text",
        "generated_answer", "model_answer", "model_output", "model_response", "completion", "output", "outputs",
    ),
}  # fmt: skip
MAPPABLE = (*ALIASES, "id", "role", "split", "cluster", "agreement")
_EITHER = "answer"  # reference or response: what the row lacks
NAMES = frozenset((*MAPPABLE, _EITHER, *(name for names in ALIASES.values() for name in names)))
_CHATS = (*MESSAGES, "chat")
_TEXT_KEYS = ("text", "content", "generated_text", "value")


class Found(NamedTuple):
    """What a row says; `response` is None where it is null, `several` names a field that has several values."""

    question: object
    reference: object
    response: object
    several: str | None


def parse_map(text: str) -> dict[str, str]:
    """`reference=gold.text,response=out` as field to dotted key.

    Raises:
        UserError: for an unknown field or an item that is not FIELD=KEY.

    >>> parse_map("question=prompt,response=output.text")
    {'question': 'prompt', 'response': 'output.text'}
    """
    pairs = {}
    for item in filter(None, (piece.strip() for piece in text.split(","))):
        field, equals, key = (part.strip() for part in item.partition("="))
        if not equals or not key:
            raise UserError(f"--map {item!r}: expected FIELD=KEY", hint=f"fields: {', '.join(MAPPABLE)}")
        if field not in MAPPABLE:
            raise did_you_mean("field of --map", field, MAPPABLE)
        if field in pairs:
            raise UserError(f"--map names the key of {field} twice: {pairs[field]} and {key}")
        pairs[field] = key
    return pairs


def find(row: Mapping[str, object], mapping: Mapping[str, str], *, reference_optional: bool) -> Found:
    """Question, reference and response of a row.

    Raises:
        Malformed: if one is missing; says which keys were found and which are understood.
    """
    keys = _keys(row, mapping)
    chat = _chat(row, keys)
    found = {field: _value(row, keys, field, mapping, chat) for field in ALIASES}
    if _EITHER in keys and _EITHER not in mapping.values():
        for field, other in (("reference", "response"), ("response", "reference")):
            if found[field] is _MISSING and (found[other] is not _MISSING or field == "reference"):
                found[field] = row[keys[_EITHER]]
                break
    for field in ("question", "response", "reference"):
        if found[field] is _MISSING and not (field == "reference" and reference_optional):
            told = ", ".join(map(repr, list(row)[:12])) or "none"
            names = ", ".join((*ALIASES[field][:6], "…"))
            raise Malformed(f"no {field!r} among the keys {told} (understood: {field}, {names}; or --map {field}=KEY)")
    several = next((field for field in ("reference", "response") if _is_several(found[field])), None)
    if _is_several(found["question"]):
        raise Malformed("'question' holds several values: one object a row is expected, not one of columns")
    question, reference, response = (None if v is _MISSING else _text(v) for v in found.values())
    return Found(question, reference, response, several)


def get(row: Mapping[str, object], name: str, mapping: Mapping[str, str]) -> object:
    """An optional field of a row (id, role, cluster), by its name or as mapped; None where it is missing."""
    if name in mapping:
        value = _dotted(row, mapping[name])
        return None if value is _MISSING else value
    return row.get(name, next((row[key] for key in row if normal_key(key) == name), None))


def normal_key(key: str) -> str:
    """A key as the aliases are written: "Model Answer" and "modelAnswer" are "model_answer"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key.strip())
    return re.sub(r"[\s_-]+", "_", spaced).lower()


_MISSING = object()


def _keys(row: Mapping[str, object], mapping: Mapping[str, str]) -> dict[str, str]:
    """Key by its name as the aliases are written; the first of those that differ in capitals alone."""
    keys: dict[str, str] = {}
    for key in row:
        name = normal_key(key)
        first = keys.setdefault(name, key)
        if name in NAMES and not mapping and row[first] != row[key] and first != key:
            raise Malformed(f"{first!r} and {key!r} differ: which is meant? (--map FIELD={first})")
    return keys


def _value(
    row: Mapping[str, object], keys: Mapping[str, str], field: str, mapping: Mapping[str, str], chat: Mapping[str, str]
) -> object:
    if field in mapping:
        value = _dotted(row, mapping[field])
        if value is _MISSING:
            told = ", ".join(map(repr, list(row)[:12]))
            raise Malformed(f"no {mapping[field]!r} for the {field} (--map) among the keys {told}")
        return value
    if field in keys:
        return row[keys[field]]
    if field in chat:
        return chat[field]
    names = [name for name in ALIASES[field] if name in keys]
    if names[:2] == ["instruction", "input"]:  # Alpaca: the input belongs to the instruction
        task, given = row[keys["instruction"]], row[keys["input"]]
        return f"{task}\n\n{given}" if isinstance(given, str) and given.strip() else task
    if len(names) > 1 and len({repr(row[keys[name]]) for name in names}) > 1:
        told = " and ".join(keys[name] for name in names)
        raise Malformed(f"{told} differ: which is the {field}? (--map {field}={keys[names[0]]})")
    return row[keys[names[0]]] if names else _MISSING


def _dotted(row: Mapping[str, object], place: str) -> object:
    if place in row:
        return row[place]
    value: object = row
    for key in place.split("."):
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, Mapping) and key in value:
            value = value[key]
        else:
            return _MISSING
    return value


def _chat(row: Mapping[str, object], keys: Mapping[str, str]) -> dict[str, str]:
    """The last question of a chat, and the answer to it if there is one."""
    turns = next((row[keys[name]] for name in _CHATS if isinstance(row.get(keys.get(name)), list)), [])
    found: dict[str, str] = {}
    for turn in turns:
        if not isinstance(turn, Mapping):
            continue
        role = ROLES.get(str(turn.get("role", turn.get("from", ""))).lower())
        content = _text(turn.get("content", turn.get("value")))
        if role == "assistant":
            content = _with_reasoning(content, turn)
        if not isinstance(content, str):
            continue
        if role == "user":
            found = {"question": content}
        elif role == "assistant" and "question" in found:
            found["response"] = content
    return found


def _with_reasoning(content: object, turn: Mapping[str, object]) -> object:
    """An assistant's message, with the reasoning from its separate field."""
    reasoning = turn.get("reasoning_content", turn.get("reasoning"))
    if not isinstance(reasoning, str) or not (content is None or isinstance(content, str)):
        return content
    return answer.join(content, reasoning)


def asks(row: Mapping[str, object]) -> bool:
    """Whether an object names a question, or is a chat: it is a row then, and no holder of rows."""
    return not {"question", *ALIASES["question"], *_CHATS}.isdisjoint(map(normal_key, row))


def _is_several(value: object) -> bool:
    return isinstance(value, list) and len(value) > 1 and not any(isinstance(item, Mapping) for item in value)


def _text(value: object) -> object:
    """The text in a value: of a number its digits, of a list its first member, of {"text": …} the text.

    NaN is None: table programs write it where a value is missing. Infinity is no text and stays.
    """
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, list) and value and all(isinstance(p, Mapping) and p.get("type") == "text" for p in value):
        return "".join(str(part.get("text", "")) for part in value)
    if isinstance(value, list) and value:
        return _text(value[0])
    if isinstance(value, Mapping):
        return next((value[key] for key in _TEXT_KEYS if isinstance(value.get(key), str)), value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    return value
