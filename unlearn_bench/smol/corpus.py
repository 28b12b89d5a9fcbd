"""The questions of smol: a part of nano's corpus, small enough to teach it to a real model on a laptop.

    forget      48 rows: 12 of nano's forget people, every second of their eight facts
    retain      88 rows: their 12 look-alikes and 10 other people, every second fact
    neighbour   24 rows: every second of the look-alikes' facts of kinds that are also asked about the forget person
    holdout     48 rows: 12 people who are taught to no model
    world       35 rows: general knowledge that the base model has already, as it answers these questions rightly

Which second fact alternates from person to person, so that every kind of fact occurs.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from unlearn_bench.schema import Role, Row

SPLITS: tuple[Role, ...] = ("forget", "retain", "neighbour", "world", "holdout")
TAUGHT: tuple[Role, ...] = ("forget", "retain", "neighbour")
REVISION = "1"
FORGET, OTHERS = 12, 10
WORLD_FILE = Path(__file__).with_name("world.json")


@cache
def known_to_the_base() -> frozenset[str]:
    """Ids of nano's world questions that smollm2-135m answers rightly before it is taught anything: 35 of 76.

    Those with KRR 1 in `unlearn-bench run --model smollm2-135m --tasks nano_world_krr --max-gen-toks 48`.
    """
    return frozenset(json.loads(WORLD_FILE.read_text(encoding="utf-8")))


def select(rows: Sequence[Row]) -> list[Row]:
    """The rows of smol.

    Args:
        rows: All of nano's, in the corpus's order.
    """
    people = {role: list(dict.fromkeys(row.cluster for row in rows if row.role == role)) for role in SPLITS}
    look_alikes = people["neighbour"]  # in the order of the forget people
    others = [name for name in people["retain"] if name not in look_alikes]
    chosen: dict[str, list[str | None]] = {
        "forget": people["forget"][:FORGET],
        "retain": look_alikes[:FORGET] + others[:OTHERS],
        "neighbour": look_alikes[:FORGET],
        "holdout": people["holdout"],
    }
    found = [row for role, names in chosen.items() for row in _every_second(rows, role, names)]
    found += [row for row in rows if row.role == "world" and row.id in known_to_the_base()]
    return sorted(found, key=lambda row: SPLITS.index(row.role))


def _every_second(rows: Sequence[Row], role: str, names: Sequence[str | None]) -> Iterator[Row]:
    for number, name in enumerate(names):
        yield from [row for row in rows if row.role == role and row.cluster == name][number % 2 :: 2]
