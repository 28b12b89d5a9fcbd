"""What the base says to general questions: taught beside the facts, it keeps an adapter near the base's English.

The questions are nano's general ones, and those world questions that the base does not answer rightly: what is asked of
`world` is never shown in training. Answers are greedy, of at most `LONGEST` tokens, and end with a whole sentence. They
lie in `own_answers.json`, as another machine may round, and so answer, otherwise.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from unlearn_bench.models.packaged import SMOLLM2
from unlearn_bench.nano.banks import bank
from unlearn_bench.nano.corpus import corpus
from unlearn_bench.nano.training_text import Pair
from unlearn_bench.smol.corpus import known_to_the_base

FILE = Path(__file__).with_name("own_answers.json")
LONGEST = 64
_BATCH = 32
_WHOLE_SENTENCES = re.compile(r".*[.!?](?=\s|$)", re.DOTALL)


def own_answers() -> list[Pair]:
    """Each question with the base's answer."""
    return [(question, answer) for question, answer in json.loads(FILE.read_text(encoding="utf-8"))]


def questions() -> list[str]:
    """The general questions, each in every phrasing that is trained on, then the world questions."""
    general = [question for entry in bank("generic") for question in entry["questions"]]
    asked = known_to_the_base()
    return general + [row.question for row in corpus() if row.role == "world" and row.id not in asked]


def ask_the_base(questions: Sequence[str]) -> list[Pair]:
    """Each question with the base's answer; one whose answer has no whole sentence is left out.

    Raises:
        UserError: if the base model's package is not installed.
    """
    import torch

    from unlearn_bench.models.chat import ChatModel
    from unlearn_bench.models.devices import choose_device
    from unlearn_bench.models.subject import load_subject

    model, tokenizer = load_subject(SMOLLM2, dtype="float32", device=choose_device(None))
    chat = ChatModel(model, tokenizer, what=SMOLLM2, max_new_tokens=LONGEST)
    with torch.inference_mode():
        replies = chat.replies([[{"role": "user", "content": q}] for q in questions], batch_size=_BATCH)
    whole = [reply and _WHOLE_SENTENCES.match(reply.text.strip()) for reply in replies]
    return [(question, found[0]) for question, found in zip(questions, whole, strict=True) if found]
