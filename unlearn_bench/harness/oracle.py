"""An oracle's answers: a result of a model that never saw the forget set, or a log of one, to the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_file
from unlearn_bench.results import RESULT_FILE, beside, matching_samples, read_result, samples_file_sha256
from unlearn_bench.results.identity import alike_told
from unlearn_bench.schema import DatasetInfo, PromptInfo, Result, Sample

_SHOWN = 3
_SAME = "run the oracle with the same tasks and settings"


@dataclass(frozen=True)
class Oracle:
    """The scored answers of an oracle.

    Attributes:
        name: What the result calls it.
        identity: Hash of its samples: numbers against two oracles are not comparable.
        result: What it says of rows, prompts and tokenizer.
    """

    name: str
    identity: str
    samples: Sequence[Sample]
    result: Result


def is_result(path: Path) -> bool:
    """Whether a path is a result, or the folder of one; else it may be a checkpoint."""
    return (path / RESULT_FILE).is_file() or (path.is_file() and path.name == RESULT_FILE)


def read_oracle(path: Path) -> Oracle:
    """An oracle from a result.json, or the folder of one, with its samples.

    Raises:
        UserError: if one of the two cannot be read, or the samples are not the result's.
    """
    result, samples = read_result(path), beside(path)
    if samples is None:
        raise UserError(
            f"--oracle {path}: no samples next to it",
            hint="forget quality and PrivLeak compare answers: keep samples.jsonl next to result.json",
        )
    own = matching_samples(result, samples)
    return Oracle(result.model.name, samples_file_sha256(samples), own, result)


def oracle_told(oracle: Path | Oracle) -> str:
    """An oracle as a result's settings name it: by a hash of its answers, without paths of this machine."""
    if isinstance(oracle, Oracle):
        return f"{oracle.name} samples:{oracle.identity}"
    samples = beside(oracle) if oracle.is_dir() or oracle.name == RESULT_FILE else None
    digest = f"samples:{samples_file_sha256(samples)}" if samples else f"sha256:{sha256_file(oracle)}"
    return f"{oracle.name} {digest}"


def require_same(
    oracle: Oracle, datasets: Mapping[str, DatasetInfo], prompt: PromptInfo | None, tokenizer: str | None
) -> None:
    """Refuse an oracle that was asked otherwise.

    Args:
        oracle: The oracle.
        datasets: Question set to its rows.
        prompt: How the model is asked; None where it is not known.
        tokenizer: Hash of the model's tokenizer; None where it is not known.

    Raises:
        UserError: naming every difference: rows, prompt, tokenizer, or a question set that it was not asked.
    """
    found = []
    for name, dataset in datasets.items():
        theirs = oracle.result.tasks.get(name)
        if theirs is None:
            found.append(f"{name}: the oracle was not asked these questions")
            continue
        if theirs.dataset.sha256 != dataset.sha256:
            found.append(f"{name}: other rows (dataset hash {theirs.dataset.sha256[:12]}…, not {dataset.sha256[:12]}…)")
        if prompt is not None and theirs.prompt is not None and theirs.prompt != prompt:
            fields = [f for f in PromptInfo.model_fields if getattr(prompt, f) != getattr(theirs.prompt, f)]
            told = ", ".join(
                f"{f} {str(getattr(theirs.prompt, f))[:12]}, not {str(getattr(prompt, f))[:12]}" for f in fields
            )
            found.append(f"{name}: another prompt ({told})")
    other = oracle.result.model.tokenizer_sha256
    if tokenizer is not None and other is not None and other != tokenizer:
        found.append(f"another tokenizer ({other[:12]}…, not {tokenizer[:12]}…)")
    _refuse(oracle, found)


def require_same_texts(oracle: Oracle, samples: Sequence[Sample]) -> None:
    """Refuse an oracle whose rows read otherwise than the model's: for logs, which name no dataset.

    Raises:
        UserError: naming the first rows that differ, or that one of the two lacks.
    """
    ours = {(s.task, s.id): (s.question, s.reference) for s in samples}
    if not oracle.samples:  # a row of a board: `set_places` compares the datasets' hashes
        return
    theirs = {(s.task, s.id): (s.question, s.reference) for s in oracle.samples}
    found = []
    for task in dict.fromkeys(task for task, _ in ours):
        rows, others = ([row for name, row in side if name == task] for side in (ours, theirs))
        lacking = [row for row in rows if (task, row) not in theirs]
        unlike = [row for row in rows if (task, row) in theirs and ours[task, row] != theirs[task, row]]
        extra = [row for row in others if (task, row) not in ours]
        for what, some in (("not asked by the oracle", lacking), ("other texts", unlike), ("only the oracle's", extra)):
            if some:
                found.append(
                    f"{task}: {len(some)} rows {what}: {', '.join(some[:_SHOWN])}{', …' * (len(some) > _SHOWN)}"
                )
    alike = {task for task, _ in ours} & {task for task, _ in theirs}
    _refuse(oracle, found, told=_SAME if alike else alike_told(oracle.result))


def _refuse(oracle: Oracle, found: Sequence[str], told: str = _SAME) -> None:
    if found:
        raise UserError(f"oracle {oracle.name}: it was not asked as the model was", hint="\n  ".join([*found, told]))
