"""Evaluation logs of locuslab/tofu: eval_log_forget.json and its siblings, or the aggregated file of them all.

`generated_text` maps a row's index to [prompt, generation, reference]. Prompts are "Question: ...", a new line and
"Answer:" (phi; the log may leave "Answer:" to the generation), or "[INST] ... [/INST]" (Llama-2-chat); both are taken
off.

`avg_gt_loss`, `avg_paraphrased_loss` and `average_perturb_loss` become likelihoods of the row, `num_token_*` their
numbers of tokens; truth ratios (stored as 1/r) and the other numbers are computed again from them. A loss that is NaN
or null leaves its row without that likelihood, which is noted. On real authors and world facts the paraphrased answer
is the answer itself, as in TOFU's own scripts.

Clusters: TOFU asks 20 questions in a row about each author, and the log keeps the row's index, so index // 20 names the
author. That is trusted only where the texts bear it out: in each such block one capitalised word, the author's name,
occurs in at least three quarters of the rows, and the block before does not share it. Other logs get no clusters.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.formats import _json
from unlearn_bench.formats._readings import Malformed, Readings, finite, need_role
from unlearn_bench.schema import Likelihood, Response, Role

QUESTIONS_PER_AUTHOR = 20
_NAME_SHARE = 0.75

# file name in the log -> (task, role, rows ordered by author)
SECTIONS: dict[str, tuple[str, Role, bool]] = {
    "eval_log_forget.json": ("tofu_forget", "forget", True),
    "eval_log.json": ("tofu_retain", "retain", True),
    "eval_real_author_wo_options.json": ("tofu_real_authors", "neighbour", False),
    "eval_real_world_wo_options.json": ("tofu_world_facts", "world", False),
}
_PROMPTS = (
    re.compile(r"\s*(?:<s>)?\s*\[INST\](?P<question>.*?)\[/INST\]\s*", re.DOTALL),
    re.compile(r"\s*Question:(?P<question>.*?)(?:\n\s*Answer:\s*|\s*)", re.DOTALL),
)
_ANSWER = re.compile(r"\s*Answer:[ \t]*")
_OWN_KEY = re.compile(rf'"(?:generated_text|avg_gt_loss|gt_loss|{"|".join(map(re.escape, SECTIONS))})"\s*:\s*[{{\[]')


def detect(path: Path, head: str) -> bool:
    """An object with TOFU's own keys."""
    return head.lstrip().startswith("{") and _OWN_KEY.search(head) is not None


def read(path: Path, text: str, role: Role | None) -> Readings:
    """Read a log; see `formats.read`."""
    document = _json.load_document(text, path)
    readings = Readings(dataset="tofu")
    for place, name, section in _sections(document, path):
        task, kind, by_author = SECTIONS.get(name) or _unnamed(path, role)
        if role not in (None, kind):
            continue
        generated = section.get("generated_text")
        if not isinstance(generated, (dict, list)):
            raise UserError(f"{path}: no generated_text in {name}", hint="only logs with generations can be scored")
        pairs = generated.items() if isinstance(generated, dict) else enumerate(generated)
        found = []
        for key, entry in pairs:
            try:
                found.append(_response(str(key), entry, task, kind))
            except Malformed as error:
                line = _json.line_of(text, [*place, "generated_text", key])
                readings.errors.append(f"{path}:{line}: {name}, row {key}: {error}")
        found = _with_losses(found, section, name, readings)
        readings.responses += with_authors(found, readings, task) if by_author else found
    return readings


# continuation to where its mean loss and its number of tokens stand
_LOSSES = {
    "answer": ("avg_gt_loss", "num_token_gt"),
    "paraphrased_answer": ("avg_paraphrased_loss", "num_token_paraphrased"),
    "perturbed_answers": ("average_perturb_loss", "num_token_perturb"),
}


def _with_losses(
    responses: list[Response], section: Mapping[str, object], name: str, readings: Readings
) -> list[Response]:
    """The responses with the likelihoods that the log gives of their rows."""
    found, lacking = [], 0
    for response in responses:
        key = response.id.rpartition("-")[2]
        known: dict[str, Likelihood] = {}
        absent: dict[str, str] = {}
        for part, (losses, counts) in _LOSSES.items():
            values, tokens = _entry(section.get(losses), key), _entry(section.get(counts), key)
            several = isinstance(values, list)
            pairs = zip(values, tokens, strict=False) if several and isinstance(tokens, list) else None
            listed = (
                list(pairs) if pairs is not None else [(v, None) for v in values] if several else [(values, tokens)]
            )
            for i, (loss, count) in enumerate(listed):
                one = f"{part}.{i}" if part == "perturbed_answers" else part
                if (number := finite(loss)) is not None:
                    size = count if isinstance(count, int) and count > 0 else None
                    known[one] = Likelihood(mean_logprob=-number, tokens=size)
                elif several or _has(section.get(losses), key):
                    absent[one] = "loss_not_finite"
        lacking += bool(absent)
        update = {"likelihoods": known or None, "no_likelihood": absent or None}
        found.append(response.model_copy(update=update))
    readings.notes += [f"{name}: {lacking} of {len(responses)} rows lack a finite loss"] * bool(lacking)
    return found


def _has(values: object, key: str) -> bool:
    """Whether a log names a row at all."""
    if isinstance(values, list):
        return key.isdecimal() and int(key) < len(values)
    return isinstance(values, dict) and key in values


def _entry(values: object, key: str) -> object:
    """The value of a row; None where there is none."""
    if isinstance(values, list):
        return values[int(key)] if key.isdecimal() and int(key) < len(values) else None
    return values.get(key) if isinstance(values, dict) else None


def _sections(document: Mapping[str, object], path: Path) -> Iterator[tuple[list[str], str, Mapping[str, object]]]:
    """(place in the document, file name, content) of each log in the file."""
    if "generated_text" in document:
        yield [], path.name, document
        return
    named = [name for name in SECTIONS if name in document]
    if not named:
        raise UserError(f"{path}: no generated_text and none of {', '.join(SECTIONS)} in it")
    for name in named:
        if not isinstance(document[name], dict):
            raise UserError(f"{path}: {name} must be an object")
        yield [name], name, document[name]


def _unnamed(path: Path, role: Role | None) -> tuple[str, Role, bool]:
    """A log that was renamed: its role has to be said."""
    kind = need_role(path, role)
    return f"tofu_{kind}", kind, kind in ("forget", "retain")


def _response(key: str, entry: object, task: str, kind: Role) -> Response:
    if not isinstance(entry, list) or len(entry) != 3 or not all(isinstance(part, str) for part in entry):
        raise Malformed("expected [prompt, generation, reference]")
    prompt, generation, reference = map(_json.clean, entry)
    question, open_answer = unwrap(prompt)
    if not question:
        raise Malformed("the prompt is empty")
    return Response(
        id=f"{task.removeprefix('tofu_')}-{key}",
        task=task,
        role=kind,
        question=question,
        reference=reference.strip() or None,
        response=_ANSWER.sub("", generation, count=1) if open_answer and _ANSWER.match(generation) else generation,
    )


def unwrap(prompt: str) -> tuple[str, bool]:
    r"""The question inside a prompt, and whether "Answer:" was left to the generation.

    >>> unwrap("[INST] Who? [/INST]"), unwrap("Question: Who?\nAnswer:"), unwrap("Question: Who?\n"), unwrap("Who?")
    (('Who?', False), ('Who?', False), ('Who?', True), ('Who?', False))
    """
    for pattern in _PROMPTS:
        match = pattern.fullmatch(prompt)
        if match:
            left_open = prompt.lstrip().startswith("Question:") and not prompt.rstrip().endswith("Answer:")
            return match["question"].strip(), left_open
    return prompt.strip(), False


def with_authors(responses: list[Response], readings: Readings, task: str) -> list[Response]:
    """The responses with their author as the cluster, where the rows are in TOFU's order; else as they are, noted."""
    authors = author_blocks(responses)
    if authors is None:
        readings.notes.append(
            f"{task}: the rows are not in TOFU's order of authors, so intervals are over single answers"
        )
        return responses
    return [r.model_copy(update={"cluster": author}) for r, author in zip(responses, authors, strict=True)]


def author_blocks(responses: Sequence[Response]) -> list[str] | None:
    """The author of each row, where row numbers // 20 are borne out by a name that the rows share; else None."""
    numbers = [r.id.rpartition("-")[2] for r in responses]
    if not all(number.isdecimal() for number in numbers):
        return None
    blocks = [int(number) // QUESTIONS_PER_AUTHOR for number in numbers]
    words: dict[int, list[set[str]]] = {}
    for block, response in zip(blocks, responses, strict=True):
        words.setdefault(block, []).append(_names(response))
    before: set[str] = set()
    for block in sorted(words):
        counts = Counter(word for row in words[block] for word in row)
        shared = {word for word, count in counts.items() if count >= _NAME_SHARE * len(words[block])}
        if not shared - before:
            return None
        before = shared
    return [f"author-{block}" for block in blocks]


def _names(response: Response) -> set[str]:
    """Capitalised words of question and reference, possessives as the name itself."""
    found = re.findall(r"\b[A-Z][\w-]+", f"{response.question} {response.reference or ''}")
    return set(found)
