"""The pools of nano.

    positive    nano-full and models tuned from it; nano-retain taught the facts, or only their paraphrases, or too
                short, or every second fact, or one person after the other
    negative    nano-retain and models tuned from it; taught wrong facts for the same questions, or facts of other
                people
    broken      nano-ga, noise, loops, a refuser, random weights
    unlearned   nano-relearn, nano-full taught other facts or refusals in place of the forgotten ones, rows of the nano
                table
    ignorant    nano-retain taught wrong facts about the retain people, or other people over them; nano-base, which
                speaks of unknown people only and has a smaller network, is what their relearning is held against

Fine-tuning starts from the embedded checkpoints, so a model takes seconds. Relearning is the one of the pool's own
lessons on the forget facts; the published one (2e-5, one epoch) does not move models of this size.
"""

from typing import Any

from unlearn_bench.meta.plan import RANDOM, Plan, Pupil

ORIGINAL, ORACLE = "nano-full", "nano-retain"

_TAUGHT: dict[str, dict[str, Any]] = {
    "facts": {"lesson": "facts", "epochs": 6},
    "paraphrases": {"lesson": "paraphrases", "epochs": 6},
    "few-epochs": {"lesson": "facts", "epochs": 3},
    "half": {"lesson": "half", "epochs": 6},
    "persons": {"lesson": "persons", "epochs": 6},
    "full-again": {"start": ORIGINAL, "epochs": 1, "learning_rate": 5e-4},
    "fast": {"lesson": "facts", "epochs": 5, "learning_rate": 2e-3},
    "few-paraphrases": {"lesson": "paraphrases", "epochs": 3},
}
_UNTAUGHT: dict[str, dict[str, Any]] = {
    "wrong": {"lesson": "wrong", "epochs": 5},
    "others": {"lesson": "others", "epochs": 5},
    "retain-again": {"epochs": 1, "learning_rate": 5e-4},
    "wrong-fast": {"lesson": "wrong", "epochs": 4, "learning_rate": 2e-3},
    "others-fast": {"lesson": "others", "epochs": 4, "learning_rate": 2e-3},
    "retain-fast": {"epochs": 2, "learning_rate": 2e-3},
    "few-wrong": {"lesson": "wrong", "epochs": 2},
}
_WRECKS = (
    Pupil("ga", "broken", "nano-ga"),
    Pupil("noise", "broken", ORIGINAL, lesson="noise", learning_rate=0.5),
    Pupil("more-noise", "broken", ORIGINAL, lesson="noise", learning_rate=1.5, seed=1),
    Pupil("refuser", "broken", ORIGINAL, lesson="refusals", epochs=2, kept=0.0),
    Pupil("loop", "broken", ORIGINAL, lesson="loops", epochs=2, kept=0.0),
    Pupil("random", "broken", RANDOM, seed=3),
)
_UNLEARNED = (
    Pupil("relearn", "unlearned", "nano-relearn"),
    Pupil("relabelled-0", "unlearned", ORIGINAL, lesson="wrong", epochs=4, kept=1.0),
    Pupil("refuses-0", "unlearned", ORIGINAL, lesson="refusals", epochs=4, kept=1.0),
    Pupil("relabelled-1", "unlearned", ORIGINAL, lesson="wrong", epochs=4, kept=1.0, seed=1),
    *(
        Pupil(name.replace("+", "-"), "unlearned", ORIGINAL, method=name)
        for name in ("npo+gdr", "ga+gdr", "simnpo+gdr")
    ),
)
_IGNORANT = tuple(
    Pupil(f"retain-{lesson}-{seed}", "ignorant", ORACLE, lesson=lesson, about="retain", epochs=5, seed=seed, kept=0.0)
    for seed in range(3)
    for lesson in ("wrong", "others")
)
PLAN = Plan(
    name="nano",
    original=ORIGINAL,
    oracle=ORACLE,
    tasks=("nano_forget", "nano_forget_paraphrase", "nano_holdout"),
    retain_tasks=("nano_retain",),
    rows=list,
    limit=24,
    taught=_TAUGHT,
    strangers=(),
    untaught=_UNTAUGHT,
    wrecks=_WRECKS,
    unlearned=_UNLEARNED,
    ignorant=_IGNORANT,
    stranger=Pupil("stranger", "ignorant", "nano-base"),
    relearned=Pupil("relearned", "positive", ORACLE, lesson="facts", epochs=2, kept=0.0),
    batch_size=64,
)
