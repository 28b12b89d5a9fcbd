"""Mutated submissions: each is refused with a reason, none leaves a trace on the board, none is a traceback.

The mutator breaks bytes, and it breaks meaning (types, ranges, names, structure), because random bytes alone rarely get
past the JSON parser. Hypothesis draws the mutator's seed and names it where a mutant fails; drawing every single choice
would let it shrink the mutant, and took ten times as long.
"""

import copy
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.any_text import any_text
from tests.leaderboard_documents import make_board, plain, write_board, write_run
from unlearn_bench.boards import store
from unlearn_bench.boards.submit import Claim, submit
from unlearn_bench.errors import UserError

VALUES = [
    None, True, -1, 0, 1, 2**53 + 1, 10**30, -0.5, 1.5, 1e308, "", "0.5", "NaN", "\u202e", "\x00", "\ud800", "<script>",
    "../../../etc/passwd", "x" * 30_000, [], {}, [[]], [1, 2, 3], {"a": 1}, [0.9, 0.1], {"__proto__": 1}, "💥" * 50,
]  # fmt: skip
FRAGMENTS = ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 3000, "{", "}", '"', "\\", ",", ":", "\x00",
             "\ufeff",
             '"a":1,"a":2,', "\u2028", "0x10", "01", "+1", "1.", "'", "//", "null", "-", "\\ud800"]  # fmt: skip


def _paths(value: object, path: tuple = ()) -> list[tuple]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _paths(item, (*path, key))
    return found


def _mutate_meaning(document: dict, rng: random.Random) -> str:
    document = json.loads(json.dumps(document))
    for _ in range(rng.choice((1, 1, 2, 5))):
        paths = _paths(document)
        if not paths:
            break
        *parents, key = rng.choice(paths)
        target = document
        for parent in parents:
            target = target[parent]
        action = rng.randrange(5)
        if action == 0:
            del target[key]
        elif action == 1 and isinstance(target, dict):
            target[rng.choice(["extra", "value", "\u200b", "x" * 300, "<b>", "n", ""])] = target[key]
        elif action == 2 and isinstance(target[key], (int, float)) and not isinstance(target[key], bool):
            target[key] = target[key] * rng.choice((-1, 0.99, 1.01, 2, 1e6, 1e300))
        elif action == 3:
            target[key] = json.loads(json.dumps(document))
        else:
            target[key] = copy.deepcopy(rng.choice(VALUES))
    return json.dumps(document)


def _mutate_bytes(text: str, rng: random.Random) -> bytes:
    data = bytearray(text.encode())
    for _ in range(rng.choice((1, 1, 3, 20))):
        at = rng.randrange(len(data))
        action = rng.randrange(4)
        if action == 0:
            data[at] = rng.randrange(256)
        elif action == 1:
            del data[at : at + rng.choice((1, 1, 10, 500))]
        elif action == 2:
            data[at:at] = rng.choice(FRAGMENTS).encode("utf-8", "surrogatepass")
        else:
            end = at + rng.randrange(100)
            data[at:at] = data[at:end]
        if not data:
            return b""
    return bytes(data)


@pytest.mark.parametrize(
    "count", [pytest.param(400, marks=pytest.mark.slow), pytest.param(10_000, marks=pytest.mark.benchmark)]
)
def test_mutated_submissions_are_refused(tmp_path: Path, count: int) -> None:
    board = write_board(tmp_path / "demo.json")
    path = write_run(tmp_path / "a")
    (tmp_path / "a" / "samples.jsonl").unlink()
    submit(path, board, Claim("A"))
    before, document, text = board.read_bytes(), plain(path), path.read_text()
    mutant = tmp_path / "mutant.json"
    reasons: Counter = Counter()

    @settings(max_examples=count, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(rng=st.randoms(use_true_random=True))
    def fuzz(rng: random.Random) -> None:
        changed = _mutate_meaning(document, rng) if rng.random() < 0.7 else _mutate_bytes(text, rng)
        mutant.unlink(missing_ok=True)  # overwriting a file waits for the disk on some file systems
        mutant.write_bytes(changed if isinstance(changed, bytes) else changed.encode("utf-8", "surrogatepass"))
        with pytest.raises(UserError) as refused:  # any other exception is a traceback, and fails here
            submit(mutant, board, Claim("A"))
        message = str(refused.value)
        only_taken = "[duplicate_name]" in message and message.count("\n  [") == message.count("\n  [duplicate_")
        reasons["duplicate only" if only_taken else "refused before"] += 1
        assert len(message) < 6_000
        assert not any(0xD800 <= ord(c) <= 0xDFFF or (ord(c) < 32 and c not in "\n") for c in message)

    fuzz()
    assert sum(reasons.values()) >= count
    assert reasons["refused before"] > 0.6 * count  # most are refused for what they are, not for the name that is taken
    assert board.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [".demo.json.lock", "a", "demo.json", "mutant.json"]


@settings(max_examples=50, deadline=None, suppress_health_check=[*HealthCheck])
@given(
    name=any_text(120),
    paper=st.none() | any_text(60) | any_text(40).map("https://example.org/".__add__),
    notes=st.none() | any_text(200),
)
def test_any_text_is_kept_as_it_is_or_refused(tmp_path: Path, name: str, paper: str | None, notes: str | None) -> None:
    board = write_board(tmp_path / "demo.json", make_board())
    path = tmp_path / "a" / "result.json"
    if not path.exists():
        write_run(tmp_path / "a")
        (tmp_path / "a" / "samples.jsonl").unlink()
    before = board.read_bytes()
    try:
        done = submit(path, board, Claim(name, paper=paper, notes=notes))
    except UserError:
        assert board.read_bytes() == before
        return
    (entry,) = store.read_board(board).entries
    assert entry == done.entry
    assert (entry.paper, entry.notes) == (paper, notes)
