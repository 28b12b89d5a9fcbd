"""GGUF files as checkpoints: the same model, the same answers everywhere, one clear line where they cannot be used."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.gguf_files import tiny_for_gguf, write_gguf
from unlearn_bench import cli
from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_file
from unlearn_bench.models import _cache, gguf, identity, subject
from unlearn_bench.models.reference_lm import ReferenceLM

pytest.importorskip("gguf", reason="reading GGUF files needs the package gguf")
IDS = torch.arange(3, 40)[None]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv(_cache.VARIABLE, str(folder))
    return folder


@pytest.fixture(scope="module")
def original() -> torch.nn.Module:
    return tiny_for_gguf()


@pytest.fixture
def file(tmp_path: Path, original: torch.nn.Module) -> Path:
    return write_gguf(tmp_path / "tiny.gguf", original)


@pytest.mark.parametrize(("kind", "tolerance"), [("F32", 0.0), ("F16", 0.01), ("Q8_0", 0.1)])
def test_the_model_is_the_one_that_was_written(
    tmp_path: Path, original: torch.nn.Module, kind: str, tolerance: float
) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", original, kind=kind)
    source = subject.find(str(file))
    model, tokenizer = subject.load(source)
    info = identity.describe(source, model, tokenizer)
    assert (info.name, info.source, info.quantization, info.dtype) == ("tiny.gguf", "file", kind, "float32")
    assert info.weights_sha256 == sha256_file(file)
    assert info.chat_template_sha256 is not None
    assert not str(info).count(str(tmp_path))
    with torch.no_grad():
        assert (model(IDS).logits - original(IDS).logits).abs().max() <= tolerance
    assert tokenizer.decode(tokenizer("Ada, 42 °C").input_ids) == "Ada, 42 °C"


def test_a_folder_with_one_file_is_that_file(file: Path) -> None:
    assert subject.find(str(file.parent)).weights.sha256 == sha256_file(file)
    (file.parent / "config.json").write_text("{}")  # repositories of GGUF files often have one
    assert subject.find(str(file.parent)).weights.sha256 == sha256_file(file)
    shutil.copy(file, file.with_name("other.gguf"))
    with pytest.raises(UserError, match=r"holds 2 GGUF files \(other\.gguf, tiny\.gguf\)"):
        subject.find(str(file.parent))


def test_a_file_is_unpacked_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = subject.find(str(file))
    monkeypatch.setattr(gguf, "_convert", lambda *args: pytest.fail("unpacked again"))
    moved = file.rename(file.with_name("renamed.gguf"))
    assert subject.find(str(moved)).folder == first.folder


def test_without_a_chat_template_questions_are_asked_plainly(tmp_path: Path, original: torch.nn.Module) -> None:
    file = write_gguf(tmp_path / "plain.gguf", original, chat=False)
    _, tokenizer = subject.load(subject.find(str(file)))
    assert tokenizer.chat_template is None
    lm = ReferenceLM(str(file))
    assert lm.chat is False
    (value,) = lm.perplexity([("Who?", "Ada.")])
    assert isinstance(value, float)


def test_a_judge_is_known_by_the_hash_of_its_file(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "copy.gguf"
    copy.parent.mkdir()
    shutil.copy(file, copy)
    assert ReferenceLM(str(file)).fingerprint == ReferenceLM(str(copy)).fingerprint
    other = write_gguf(tmp_path / "elsewhere" / "other.gguf", tiny_for_gguf(seed=1))
    assert ReferenceLM(str(other)).fingerprint != ReferenceLM(str(file)).fingerprint


def test_an_adapter_names_the_file_it_was_trained_on(file: Path, tmp_path: Path) -> None:
    from unlearn_bench.trainers._model import write_base_name

    source = subject.find(str(file))
    model, _ = subject.load(source)
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    tuned.save_pretrained(tmp_path / "adapter")
    write_base_name(tmp_path / "adapter", source, None)
    found = subject.find(str(tmp_path / "adapter"))
    assert found.weights.sha256 == sha256_file(file)
    loaded, _ = subject.load(found)
    with torch.no_grad():
        assert torch.equal(loaded(IDS).logits, tuned.eval()(IDS).logits)


def _cut(file: Path, share: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.write_bytes(b"version https://git-lfs"), r"is no GGUF file"),
        (lambda file: file.write_bytes(b""), r"is no GGUF file"),
        (lambda file: _cut(file, 0.001), r"cannot be loaded"),
        (lambda file: _cut(file, 0.05), r"cannot be loaded"),
        (lambda file: _cut(file, 0.5), r"cannot be loaded"),
        (lambda file: _cut(file, 0.999), r"cannot be loaded"),
        (lambda file: write_gguf(file, architecture="mamba9"), r"architecture mamba9 is not supported"),
        (
            lambda file: write_gguf(file, left_out=["blk.1.ffn_up.weight"]),
            r"1 missing \(model\.layers\.1\.mlp\.up_proj",
        ),
    ],
    ids=[
        "pointer",
        "empty",
        "cut in the header",
        "cut in the words",
        "cut in the middle",
        "cut at the end",
        "unknown",
        "missing",
    ],
)
def test_what_cannot_be_loaded_is_one_line_and_leaves_nothing(
    file: Path, cache: Path, damage: object, words: str
) -> None:
    file.unlink()
    write_gguf(file)
    damage(file)
    with pytest.raises(UserError, match=words) as caught:
        subject.find(str(file))
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_part_of_a_split_model_is_refused(file: Path) -> None:
    with pytest.raises(UserError, match="part of a split model"):
        subject.find(str(file.rename(file.with_name("tiny-00001-of-00002.gguf"))))


def test_without_the_package_the_error_names_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = gguf.importlib.util.find_spec
    monkeypatch.setattr(gguf.importlib.util, "find_spec", lambda name: None if name == "gguf" else find(name))
    with pytest.raises(UserError, match="needs the package gguf") as caught:
        subject.find(str(file))
    assert caught.value.hint == "pip install gguf"


def test_the_command_line_takes_a_file(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    common = ["run", "--tasks", "nano_kfr", "--limit", "2", "--max-gen-toks", "4", "--output", str(out)]
    assert cli.main([*common, "--model", str(file)]) == 0
    assert '"quantization": "F32"' in (out / "result.json").read_text()
    _cut(file, 0.5)
    assert cli.main([*common, "--model", str(file), "--overwrite"]) == 2
    assert "Traceback" not in capsys.readouterr().err
