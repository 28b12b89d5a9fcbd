"""Relearning: a few steps of fine-tuning, and the forget rows that were not trained on are asked.

    theta' = argmin CE(answers of k rows), a few AdamW steps from the checkpoint          asked: the other forget rows

| variant        | trained on                                                                                      |
|----------------|-------------------------------------------------------------------------------------------------|
| forget8_sN     | 8 forget rows, N steps (1, 4, 16, 64): the curve                                                |
| forgetK_s16    | K forget rows (2, 32), 16 steps: the other side of the sweep; not in the full panel             |
| retain8_s16    | 8 rows that should be known: does training on anything bring the rest back?                     |
| syntax8_s16    | 8 forget rows whose names and numbers are others': the same syntax without the facts            |
| lora8_s16      | as forget8_s16, through an adapter of rank 8                                                    |
| published      | every forget row, one epoch at 2e-5 in batches of 32, asked again: OpenUnlearning (2506.12618)  |

Small related data restores what was only obfuscated (arXiv 2406.13356), and syntax more than topic (2602.03379). An
evaluation that trains injects information (2506.00688): the oracle under the same training is the control. The learning
rate follows the size: 2e-4 below 30 million parameters, else 2e-5 (an adapter: ten times that). The curve over N is
summed up as `stats.recovery.curve` does it.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unlearn_bench.schema import Row
from unlearn_bench.seeded import SeededRandom
from unlearn_bench.stress.base import CannotRun, Material, Stress, Subject

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHOTS = 8
STEPS = (1, 4, 16, 64)
SWEEP = tuple(f"forget{k}_s16" for k in (2, 32))
PUBLISHED = "published"
SMALL = 30_000_000
_RATES = {True: 2e-4, False: 2e-5}  # by "is small"
_LORA_TIMES = 10
_COUNT = re.compile(r"(\d+)_s\d+$")
_NAME = re.compile(r"\b(?:[A-Z][\w'-]+|\d+)\b")
_OTHERS = ("Orin", "Vael", "Tessim", "Quorra", "Brandt", "Ilmark", "Sove", "Dunmere", "Halvic", "Parnow")


def shots(rows: Sequence[Row], seed: int, count: int = SHOTS) -> list[Row]:
    """The rows that are trained on: of different clusters as long as there are, the same for every checkpoint.

    Fewer of them are the first of more.
    """
    drawn = SeededRandom(seed, "relearning").draw(list({row.id: row for row in rows}.values()))
    first = list({row.cluster or row.id: row for row in reversed(drawn)}.values())[::-1]
    chosen = {row.id: row for row in [*first, *drawn]}
    return list(chosen.values())[:count]


def rows(variant: str, row: Row, material: Material) -> list[Row]:
    """The row where it was not trained on."""
    learned = {one.id for one in shots(material.forget, material.seed, _count(variant))}
    return [] if variant.startswith(("forget", "lora")) and row.id in learned else [row]


def _count(variant: str) -> int:
    """Of the rows that a variant trains on; `published` trains on all."""
    found = _COUNT.search(variant)
    return int(found[1]) if found else SHOTS


def other_names(text: str, seed: int) -> str:
    """The text with every name replaced by one of nobody, and every number by another of as many digits."""
    stream = SeededRandom(seed, "names")
    new: dict[str, str] = {}
    for word in _NAME.findall(text):
        if word.isdigit():
            new.setdefault(word, "".join(str(stream.below(9) + 1) for _ in word))
        else:
            new.setdefault(word, stream.pick(_OTHERS))
    return _NAME.sub(lambda match: new[match.group()], text)


@contextmanager
def apply(variant: str, subject: Subject) -> "Iterator[PreTrainedModel]":
    """The checkpoint after training; it is loaded from what the trainer wrote."""
    from unlearn_bench.models.subject import load_subject
    from unlearn_bench.trainers.config import Lora, TrainConfig
    from unlearn_bench.trainers.job import train

    small = sum(parameter.numel() for parameter in subject.model.parameters()) < SMALL
    adapts, published = variant.startswith("lora"), variant == PUBLISHED
    rate = _RATES[False if published else small] * (_LORA_TIMES if adapts else 1)
    output = subject.scratch / "relearned"
    learned = subject.scratch / "rows.json"
    learned.write_text(json.dumps(_pairs(variant, subject)), encoding="utf-8")
    config = TrainConfig(
        model=subject.checkpoint,
        adapter=subject.adapter,
        method="gdr",
        retain=(str(learned),),
        output=str(output),
        lora=Lora(dropout=0.0) if adapts else None,
        max_steps=None if published else int(variant.rpartition("_s")[2]),
        epochs=1.0 if published else 1e6,
        learning_rate=rate,
        batch_size=min(8, _count(variant)),
        accumulate=4 if published else 1,
        scheduler="linear" if published else "constant",
        seed=subject.seed,
        save_every=10**9,
        **subject.trust,
    )
    outcome = train(config)
    subject.facts |= {"learning_rate": rate, "steps": float(outcome.steps)}
    model, _ = load_subject(
        str(output),
        dtype=str(subject.model.dtype).removeprefix("torch."),
        device=str(subject.model.device),
        uses_template=False,
        **subject.trust,
    )
    yield model


def _pairs(variant: str, subject: Subject) -> list[dict[str, str]]:
    forget = subject.rows.get("forget", ())
    if variant.startswith("retain"):
        chosen = shots(subject.rows.get("retain", ()), subject.seed, _count(variant))
        if not chosen:
            raise CannotRun("the run asks no retain questions (--tasks …,nano_retain)")
    else:
        chosen = list(forget) if variant == PUBLISHED else shots(forget, subject.seed, _count(variant))
    texts = [(row.question, row.answer) for row in chosen]
    if variant.startswith("syntax"):
        texts = [(other_names(q, number), other_names(a, number)) for number, (q, a) in enumerate(texts)]
    return [{"question": question, "answer": answer} for question, answer in texts]


_PANEL = (*(f"forget{SHOTS}_s{n}" for n in STEPS), "retain8_s16", "syntax8_s16", "lora8_s16", PUBLISHED)
STRESS = Stress(
    changes="checkpoint",
    variants=(*_PANEL, *SWEEP),
    quick=("forget8_s16",),
    full=_PANEL,
    cost="a training of at most 64 steps of 8 rows, and one pass of the tasks",
    apply=apply,
    rows=rows,
    curve={f"forget{SHOTS}_s{n}": n for n in STEPS},
    settings={"rate_small": _RATES[True], "rate": _RATES[False], "shots": SHOTS},
)
