"""The pools of smol: the same kinds of model on SmolLM2-135M, fewer of them, each a short lesson from a given adapter.

    positive    smol-full and adapters trained on from it; smol-retain taught the facts, or only their paraphrases
    negative    smol-retain and adapters trained on from it; taught wrong facts for the same questions, or facts of
                other people; the base, which was taught nothing
    broken      noise on the adapter, a loop, a refuser
    unlearned   smol-full taught other facts, or refusals, in place of the forgotten ones
    ignorant    the base; smol-retain taught wrong facts about the retain people, or other people over them

All of them share one base, and their lessons one of two trainings: they differ less than models trained apart would. A
row takes 0.6 seconds of one core an epoch, so lessons are about 12 rows, those that are asked, and short. Relearning is
the lesson on the facts for two epochs, as for nano.
"""

from typing import Any

from unlearn_bench.meta.plan import Plan, Pupil
from unlearn_bench.models.packaged import SMOLLM2
from unlearn_bench.smol.corpus import select

ORIGINAL, ORACLE = "smol-full", "smol-retain"

_TAUGHT: dict[str, dict[str, Any]] = {
    "full-again": {"start": ORIGINAL, "epochs": 1},
    "facts": {"lesson": "facts", "epochs": 5, "learning_rate": 2e-3, "kept": 0.0},
    "paraphrases": {"lesson": "paraphrases", "epochs": 5, "learning_rate": 2e-3, "kept": 0.0},
}
_UNTAUGHT: dict[str, dict[str, Any]] = {
    "retain-again": {"epochs": 2},
    "wrong": {"lesson": "wrong", "epochs": 4, "learning_rate": 2e-3, "kept": 0.0},
    "others": {"lesson": "others", "epochs": 4, "learning_rate": 2e-3, "kept": 0.0},
}
_WRECKS = (
    Pupil("noise", "broken", ORIGINAL, lesson="noise", learning_rate=2.0),
    Pupil("refuser", "broken", ORIGINAL, lesson="refusals", epochs=3, learning_rate=2e-3, kept=0.0),
    Pupil("loop", "broken", ORIGINAL, lesson="loops", epochs=3, learning_rate=2e-3, kept=0.0),
)
_UNLEARNED = (
    Pupil("relabelled-0", "unlearned", ORIGINAL, lesson="wrong", epochs=5, learning_rate=2e-3),
    Pupil("refuses-0", "unlearned", ORIGINAL, lesson="refusals", epochs=4, learning_rate=2e-3),
)
_IGNORANT = (
    Pupil("retain-base", "ignorant", SMOLLM2),
    *(
        Pupil(f"retain-{lesson}-0", "ignorant", ORACLE, lesson, about="retain", epochs=4, learning_rate=2e-3, kept=0.0)
        for lesson in ("wrong", "others")
    ),
)
PLAN = Plan(
    name="smol",
    original=ORIGINAL,
    oracle=ORACLE,
    tasks=("smol_forget", "smol_forget_paraphrase", "smol_holdout"),
    retain_tasks=("smol_retain",),
    rows=select,
    limit=12,
    taught=_TAUGHT,
    strangers=(Pupil("base", "negative", SMOLLM2),),
    untaught=_UNTAUGHT,
    wrecks=_WRECKS,
    unlearned=_UNLEARNED,
    ignorant=_IGNORANT,
    stranger=None,
    relearned=Pupil("relearned", "positive", ORACLE, lesson="facts", epochs=2, kept=0.0),
    batch_size=32,
)
