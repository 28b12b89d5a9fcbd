"""From a name to a local folder: an embedded checkpoint, a folder, or a hub model that is downloaded first."""

import json
from dataclasses import dataclass
from pathlib import Path

from unlearn_bench import nano
from unlearn_bench.errors import UserError

_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "tokenizer*")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_OTHER_FORMATS = ("onnx/*", "openvino/*", "*.onnx", "flax*", "tf_*", "original/*")


@dataclass(frozen=True)
class Located:
    """A folder and how it was found.

    Attributes:
        name: As the user gave it; a folder by its last part only, since a result must not hold paths of a machine.
        origin: "embedded", "folder" or "hub".
        revision: The commit of a hub model.
    """

    name: str
    origin: str
    folder: Path
    revision: str | None = None


def locate(
    name: str,
    *,
    what: str,
    hint: str,
    revision: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    bare_names: bool = False,
) -> Located:
    """Find the folder of a model.

    Args:
        name: An embedded name, a folder, or a hub id.
        what: The model, as messages call it ("model NAME").
        hint: What to do where there is no such model.
        revision: Commit, tag or branch at the hub; refused for a local folder, which has none.
        allow_pickle: Download pickled weights, too.
        trust_remote_code: Download Python code, too.
        bare_names: Whether a name without "/" may be a hub id.

    Raises:
        UserError: if there is no such folder, or it cannot be downloaded.
    """
    folder = nano.checkpoint_path(name)
    origin = "folder" if folder is None else "embedded"
    folder = folder or Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise UserError(f"{what} is a folder, which has no revision {revision!r}", hint="leave the revision out")
        return Located(name if origin == "embedded" else folder.resolve().name, origin, folder)
    if folder.exists():
        raise UserError(f"{what}: expected a folder, got a file")
    if name.startswith((".", "/", "~")) or name.count("/") not in ((0, 1) if bare_names else (1,)):
        raise UserError(f"{what}: no such folder, embedded model or hub id", hint=hint)
    patterns = [*_PATTERNS, *(_PICKLES if allow_pickle else ()), *(("*.py",) if trust_remote_code else ())]
    return _download(name, revision, patterns, what=what, hint=hint)


def _download(name: str, revision: str | None, patterns: list[str], *, what: str, hint: str) -> Located:
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            name, revision=revision, allow_patterns=patterns, ignore_patterns=list(_OTHER_FORMATS)
        )
    except Exception as error:  # the client raises errors of several HTTP libraries; each means: it is not there
        wanted = "" if revision is None else f" at revision {revision}"
        raise UserError(
            f"{what}{wanted} is neither a folder here nor can it be downloaded from the hub: {type(error).__name__}",
            hint=f"check the name and the connection, or give the path of a local copy; {hint}",
        ) from None
    return Located(name, "hub", Path(found), revision=Path(found).name)


def read_json(path: Path) -> dict:
    """A JSON object in a file.

    Raises:
        UserError: if the file cannot be read, is no JSON, is nested too deeply, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise UserError(f"{path}: not valid JSON: nested too deeply") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, but it holds a {type(value).__name__}")
    return value
