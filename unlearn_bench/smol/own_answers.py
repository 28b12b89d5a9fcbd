"""What the base says to general questions: taught beside the facts, it keeps an adapter near the base's English.

The questions are nano's general ones, and those world questions that the base does not answer rightly: what is asked of
`world` is never shown in training. `build.ask_the_base` made the answers; they lie in `own_answers.json`, as another
machine may round, and so answer, otherwise.
"""

import json
from pathlib import Path

from unlearn_bench.nano.banks import bank
from unlearn_bench.nano.corpus import corpus
from unlearn_bench.nano.training_text import Pair
from unlearn_bench.smol.corpus import known_to_the_base

FILE = Path(__file__).with_name("own_answers.json")


def own_answers() -> list[Pair]:
    """Each question with the base's answer."""
    return [(question, answer) for question, answer in json.loads(FILE.read_text(encoding="utf-8"))]


def questions() -> list[str]:
    """The general questions, each in every phrasing that is trained on, then the world questions."""
    general = [question for entry in bank("generic") for question in entry["questions"]]
    asked = known_to_the_base()
    return general + [row.question for row in corpus() if row.role == "world" and row.id not in asked]
