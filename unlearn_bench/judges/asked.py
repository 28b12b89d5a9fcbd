"""What a judge is asked: two messages, the instruction and the texts. The texts are JSON: none can end its own quotes.

The prompts are data/prompts.yaml. `version` is theirs; verdicts are kept under all that was asked (`verdicts.py`), so a
changed prompt asks anew.
"""

import json
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from unlearn_bench.files import read_yaml
from unlearn_bench.hashing import sha256_text
from unlearn_bench.llm import Messages

Kind = Literal["forget", "retain", "fluency", "relevance"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@cache
def document(name: str) -> dict[str, Any]:
    """A YAML file of this package's data, read once; not to be changed."""
    text = resources.files("unlearn_bench.judges").joinpath(f"data/{name}.yaml").read_text(encoding="utf-8")
    return read_yaml(text)


def version() -> int:
    """Version of the prompts."""
    return int(document("prompts")["version"])


@cache
def instruction(kind: Kind) -> str:
    """The system message of a judge: frame, question, what verdicts and grades mean, form of the reply."""
    prompts = document("prompts")
    own = prompts["judges"][kind]
    verdicts = [f'- "{name}": {text}' for name, text in own["verdicts"].items()]
    grades = [f"- {grade}: {text}" for grade, text in own["grades"].items()]
    parts = [prompts["frame"], own["question"], "Verdict:", *verdicts, "Grade:", *grades, prompts["form"]]
    return "\n".join(parts)


def instruction_sha256(kind: Kind) -> str:
    """Hash of a judge's instruction."""
    return sha256_text(instruction(kind))


def messages(kind: Kind, question: str, reference: str, answer: str, *, swapped: bool = False) -> Messages:
    """The request for one verdict.

    Args:
        kind: Which judge.
        question: Of the row.
        reference: The reference answer; judges of language are not shown it.
        answer: What is judged.
        swapped: Whether the texts stand in reversed order, to see whether their place decides.
    """
    texts = {"question": question, "reference": reference, "answer": answer}
    sees = document("prompts")["judges"][kind]["sees"]
    shown = {name: texts[name] for name in (reversed(sees) if swapped else sees)}
    return [
        {"role": "system", "content": instruction(kind)},
        {"role": "user", "content": json.dumps(shown, ensure_ascii=False)},
    ]
