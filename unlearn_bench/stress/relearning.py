"""Relearning: a few steps of fine-tuning, and the forget rows that were not trained on are asked.

    theta' = argmin CE(answers of k rows), a few AdamW steps from the checkpoint          asked: the other forget rows

| variant        | trained on                                                                                      |
|----------------|-------------------------------------------------------------------------------------------------|
| forgetK_sN     | K forget rows (2, 8, 32), N steps (1, 4, 16, 64): a curve for each K                            |
| retain8_s16    | 8 rows that should be known: does training on anything bring the rest back?                     |
| syntax8_s16    | 8 forget rows whose names and numbers are others': the same syntax without the facts            |
| lora8_s16      | as forget8_s16, through an adapter of rank 8                                                    |
| published      | every forget row, one epoch at 2e-5 in batches of 32, asked again: OpenUnlearning (2506.12618)  |

Small related data restores what was only obfuscated (arXiv 2406.13356), and syntax more than topic (2602.03379). An
evaluation that trains injects information (2506.00688): the oracle under the same training is the control. The learning
rate follows the size: 2e-4 below 30 million parameters, else 2e-5 (an adapter: ten times that), and is constant, so
that the points of a curve are steps of one training. A curve is summed up as `stats.recovery.curve` does it.
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
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHOTS = 8
STEPS = (1, 4, 16, 64)
CURVES = {f"forget{k}": {f"forget{k}_s{n}": n for n in STEPS} for k in (2, SHOTS, 32)}
_ALSO = ("retain8_s16", "syntax8_s16", "lora8_s16")
PUBLISHED = "published"
SMALL = 30_000_000
_RATES = {True: 2e-4, False: 2e-5}  # by "is small"
_LORA_TIMES = 10
_TRAINED = re.compile(r"(\d+)_s(\d+)$")  # rows and steps
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
    found = _TRAINED.search(variant)
    return int(found[1]) if found else SHOTS


def _steps(variant: str) -> int | None:
    """Of the training; `published` ends with its epoch."""
    found = _TRAINED.search(variant)
    return int(found[2]) if found else None


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
    """The checkpoint after training; it is loaded from what the training wrote at that step."""
    from unlearn_bench.models.subject import load_subject

    steps = _steps(variant)
    place = subject.scratch / f"after-{steps or PUBLISHED}"
    if not place.exists():
        _train(variant, subject)
    told = json.loads((subject.scratch / "told.json").read_text(encoding="utf-8"))
    subject.facts |= {**told, "steps": float(steps or told["steps"])}
    model, _ = load_subject(
        str(place),
        dtype=str(subject.model.dtype).removeprefix("torch."),
        device=str(subject.model.device),
        uses_template=False,
        **subject.trust,
    )
    yield model


def _train(variant: str, subject: Subject) -> None:
    """Train once for all variants that are steps of the same training; each finds its weights in `after-STEPS`."""
    from unlearn_bench.trainers.config import Lora, TrainConfig
    from unlearn_bench.trainers.job import train

    small = sum(parameter.numel() for parameter in subject.model.parameters()) < SMALL
    adapts, published = variant.startswith("lora"), variant == PUBLISHED
    rate = _RATES[False if published else small] * (_LORA_TIMES if adapts else 1)
    wanted = {_steps(one) for one in (*subject.beside, variant)}
    last = None if published else max(wanted)
    learned = subject.scratch / "rows.json"
    learned.write_text(json.dumps(_pairs(variant, subject)), encoding="utf-8")
    output = subject.scratch / f"after-{last or PUBLISHED}"

    def keep(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", step: int) -> dict[str, float]:
        if step in wanted - {last}:
            model.save_pretrained(subject.scratch / f"after-{step}")
            tokenizer.save_pretrained(subject.scratch / f"after-{step}")
        return {}

    config = TrainConfig(
        model=subject.checkpoint,
        adapter=subject.adapter,
        method="gdr",
        retain=(str(learned),),
        output=str(output),
        lora=Lora(dropout=0.0) if adapts else None,
        max_steps=last,
        epochs=1.0 if published else 1e6,
        learning_rate=rate,
        batch_size=min(8, _count(variant)),
        accumulate=4 if published else 1,
        scheduler="linear" if published else "constant",
        seed=subject.seed,
        save_every=10**9,
        eval_every=1 if len(wanted) > 1 else None,
        **subject.trust,
    )
    outcome = train(config, evaluate=keep)
    told = {"learning_rate": rate, "steps": outcome.steps}
    (subject.scratch / "told.json").write_text(json.dumps(told), encoding="utf-8")


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


STRESS = Stress(
    changes="checkpoint",
    variants=(*(name for points in CURVES.values() for name in points), *_ALSO, PUBLISHED),
    quick=("forget8_s16",),
    cost="a training of at most 64 steps of 8 rows for each K, and one pass of the tasks for each variant",
    passes={name: 1 + n // 8 for points in CURVES.values() for name, n in points.items()},
    apply=apply,
    rows=rows,
    prepared=lambda variant: variant.rpartition("_s")[0] or variant,
    curves=CURVES,
    settings={"rate_small": _RATES[True], "rate": _RATES[False], "shots": SHOTS},
)
