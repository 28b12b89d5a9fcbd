"""From a name to a local folder: an embedded or packaged model, a folder, a GGUF file, or a hub model.

A hub model is downloaded first, a GGUF file (or a folder with nothing but one) unpacked into the user's cache.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from unlearn_bench import nano, smol
from unlearn_bench.errors import UserError
from unlearn_bench.models import gguf
from unlearn_bench.models._json import read_json
from unlearn_bench.models._plausible import check_settings, require_config
from unlearn_bench.models.packaged import packaged_path
from unlearn_bench.models.weight_files import ADAPTER_CONFIG, WeightFiles, find_weights, is_whole

_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "tokenizer*")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_OTHER_FORMATS = ("onnx/*", "openvino/*", "*.onnx", "flax*", "tf_*", "original/*")


@dataclass(frozen=True)
class Located:
    """A folder and how it was found.

    Attributes:
        name: As the user gave it; of a folder or file only the last part, since a result must not hold paths of a
            machine.
        origin: "embedded", "package", "folder", "file" (GGUF) or "hub".
        revision: The commit of a hub model.
        unpacked: The GGUF file that the folder was unpacked from.
    """

    name: str
    origin: str
    folder: Path
    revision: str | None = None
    unpacked: gguf.Unpacked | None = None


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
        name: An embedded or packaged name, a folder, a GGUF file, or a hub id.
        what: The model, as messages call it ("model NAME").
        hint: What to do if the model is not found.
        revision: Commit, tag or branch at the hub; refused for a local model, which has none.
        allow_pickle: Also download pickled weights.
        trust_remote_code: Also download Python code.
        bare_names: Whether a name without "/" may be a hub id.

    Raises:
        UserError: if there is no such model, it cannot be downloaded, or its GGUF file cannot be unpacked.
    """
    for origin, path in (
        ("embedded", nano.checkpoint_path(name) or smol.checkpoint_path(name)),
        ("package", packaged_path(name)),
        ("here", Path(name).expanduser()),
    ):
        if path is not None and path.exists():
            if revision is not None:
                raise UserError(f"{what} is not a hub model and has no revision {revision!r}", hint="leave it out")
            return _local(name, origin, path, what)
    if name.startswith((".", "/", "~")) or name.count("/") not in ((0, 1) if bare_names else (1,)):
        raise UserError(f"{what}: no such folder, file, embedded model or hub id", hint=hint)
    patterns = [*_PATTERNS, *(_PICKLES if allow_pickle else ()), *(("*.py",) if trust_remote_code else ())]
    return _download(name, revision, patterns, what=what, hint=hint)


def _local(name: str, origin: str, path: Path, what: str) -> Located:
    """A folder or file of this machine."""
    if origin == "here":
        name, origin = path.resolve().name, "folder" if path.is_dir() else "file"
    if path.is_dir():
        has_weights = is_whole(path) or (path / ADAPTER_CONFIG).is_file()
        file = None if has_weights else gguf.only_file(path, what)
    elif path.is_file() and path.suffix.lower() == gguf.SUFFIX:
        file = path
    else:
        raise UserError(f"{what}: expected a folder or a {gguf.SUFFIX} file, got another file")
    if file is None:
        return Located(name, origin, path)
    unpacked = gguf.unpack(file, what)
    return Located(name, origin, unpacked.folder, unpacked=unpacked)


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


def checked_weights(
    located: Located, *, what: str, allow_pickle: bool = False, trust_remote_code: bool = False
) -> WeightFiles:
    """The weights of a located model, after everything was checked that can be checked before they are read.

    Args:
        located: What `locate` returned.
        what: The model, as messages call it.
        allow_pickle: Accept pickles where there is no safetensors file.
        trust_remote_code: Accept a model that comes with its own code.

    Raises:
        UserError: if the folder is not a model, needs remote code, has only pickled weights, or its config.json
            cannot be of these weights.
    """
    require_config(located.folder, "config.json", what)
    if "auto_map" in read_json(located.folder / "config.json") and not trust_remote_code:
        raise UserError(
            f"{what} wants to run code that comes with it, which was not allowed",
            hint="pass --trust-remote-code if you have read it and trust its author",
        )
    weights = find_weights(located.folder, what=what, allow_pickle=allow_pickle)
    check_settings(weights, what)
    return weights if located.unpacked is None else replace(weights, original_sha256=located.unpacked.sha256)
