"""A result is replaced by one of the same model under the same settings, and by no other without `--overwrite`."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench import results
from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from unlearn_bench.harness.score import ScoreSpec
    from unlearn_bench.harness.spec import RunSpec
    from unlearn_bench.schema import ModelInfo, Result


def refuse_file(path: Path, reads: Iterable[Path], *, overwrite: bool, hint: str = "--overwrite replaces it") -> None:
    """Refuse to replace a file, and always one that the command reads: labels and results are not made again.

    Args:
        path: What is to be written.
        reads: Files and folders of results that are read.
        overwrite: Whether another file may be replaced.
        hint: What to do where it may not.

    Raises:
        UserError: saying which of these it is.
    """
    if not path.exists():
        return
    if path.is_dir():
        raise UserError(f"{path} is a folder", hint="--output names a file")
    if _is_read(path, reads):
        raise UserError(f"{path} is what this command reads", hint="--output names another file")
    if not overwrite:
        raise UserError(f"{path} exists", hint=hint)


def refuse_report(flag: str, path: Path | None, reads: Iterable[str | Path | None]) -> None:
    """Refuse to write a report over what the command reads, over a result, or over answers; other files are replaced.

    Args:
        flag: The option that names the file.
        path: The file; None: none was named.
        reads: What the command reads: files, folders of results, `BOARD.json#NAME`; None: not given.

    Raises:
        UserError: saying which of these it is.
    """
    if path is None or not path.exists():
        return
    if path.is_dir():
        raise UserError(f"{flag} {path}: a folder, expected a file", hint="name a file; it is made if missing")
    from unlearn_bench.boards.lookup import file_and_entry

    if _is_read(path, (file_and_entry(str(read))[0] for read in reads if read)):
        raise UserError(f"{flag} {path}: this command reads that file", hint="name another file")
    if path.name == results.RESULT_FILE or path.suffix == ".jsonl":
        raise UserError(f"{flag} {path}: a report replaces no result and no answers", hint="name another file")


def _is_read(path: Path, reads: Iterable[Path]) -> bool:
    """Whether a file is one of those, or lies in such a folder of results, or is the samples beside such a result."""
    inputs = [file for read in reads for file in (read, read / results.RESULT_FILE, results.beside(read))]
    return any(file is not None and file.is_file() and path.samefile(file) for file in inputs)


def refuse_other(folder: Path, spec: "RunSpec", model: "ModelInfo | None", *, overwrite: bool) -> None:
    """Refuse to replace a result of another model or of other settings.

    Args:
        folder: Where the result is to be written.
        spec: What is to be run.
        model: Identity of the model; None before it is loaded, when names and settings can be compared already.
        overwrite: Whether it may be replaced.

    Raises:
        UserError: with what is different.
    """
    _refuse(folder, lambda old: _differences(old, spec, model), overwrite=overwrite)


def refuse_other_scores(folder: Path, spec: "ScoreSpec", *, overwrite: bool) -> None:
    """The same for generations made elsewhere: other files, metrics or settings, or what a model of `run` said.

    Raises:
        UserError: with what is different.
    """
    _refuse(folder, lambda old: _score_differences(old, spec), overwrite=overwrite)


def _refuse(folder: Path, differences: Callable[["Result"], Iterator[str]], *, overwrite: bool) -> None:
    if overwrite or not (folder / results.RESULT_FILE).exists():
        return
    difference = next(differences(results.read_result(folder)), None)
    if difference:
        raise UserError(
            f"{folder} holds the result of {difference}", hint="choose another --output, or pass --overwrite"
        )


def _score_differences(old: "Result", spec: "ScoreSpec") -> Iterator[str]:
    from unlearn_bench.harness.score import model_name, run_settings

    if old.run.get("verb") != "score":
        yield f"a run of {old.model.name}"
    if old.model.name != model_name(spec):
        yield old.model.name
    new = run_settings(spec)
    if old.run.get("files") != new["files"]:
        yield f"{old.model.name} on other files"
    for key in sorted(set(old.run) | set(new)):
        if old.run.get(key) != new.get(key):
            yield f"{old.model.name} with {_setting(key, old.run.get(key))}, not {_setting(key, new.get(key))}"


def _differences(old: "Result", spec: "RunSpec", model: "ModelInfo | None") -> Iterator[str]:
    from unlearn_bench.harness.spec import MACHINE, run_settings

    if old.model.name not in (spec.model, Path(spec.model).name, Path(spec.model).expanduser().resolve().name):
        yield old.model.name
    adapter = None if spec.adapter is None else Path(spec.adapter).expanduser().resolve().name
    if adapter is not None and old.model.adapter != adapter:
        yield f"{old.model.name} with {_adapter(old.model.adapter)}, not {_adapter(adapter)}"
    new = run_settings(spec)
    for key in sorted((set(old.run) & set(new)) - MACHINE):
        if old.run[key] != new[key]:
            yield f"{old.model.name} with {_setting(key, old.run[key])}, not {_setting(key, new[key])}"
    if model is not None:
        yield from _model_differences(old.model, model)


def _model_differences(old: "ModelInfo", new: "ModelInfo") -> Iterator[str]:
    if old.adapter != new.adapter:
        yield f"{old.name} with {_adapter(old.adapter)}, not {_adapter(new.adapter)}"
    for field, what in (
        ("revision", "another revision"),
        ("weights_sha256", "other weights"),
        ("adapter_sha256", "other weights of its adapter"),
        ("tokenizer_sha256", "another tokenizer"),
    ):
        if getattr(old, field) != getattr(new, field):
            yield f"{old.name} with {what}"


def _adapter(name: str | None) -> str:
    return "no adapter" if name is None else f"adapter {name}"


def _setting(key: str, value: object) -> str:
    option = "--" + key.replace("_", "-")
    if value is None or value == []:
        return f"no {option}"
    return f"{option} {','.join(value) if isinstance(value, list) else value}"
