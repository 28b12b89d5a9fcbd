"""`unlearn-bench diagnose` from the command line on tiny checkpoints."""

import json

import pytest

from tests.unit.diagnostics.conftest import build
from unlearn_bench.cli import diagnose, main
from unlearn_bench.diagnostics._schema import DIAGNOSTICS
from unlearn_bench.nano import EMBEDDED


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, tokenizer_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, name in enumerate(("judged", "before", "never")):
        build("llama", seed=seed, vocab_size=64).save_pretrained(folder / name)
        tokenizer_factory().save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def tokenizer_factory():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    def make():
        letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,:?'\"@-/", "<pad>", "<s>", "</s>", "<unk>"]
        core = Tokenizer(models.WordLevel({c: i for i, c in enumerate(letters)}, unk_token="<unk>"))
        core.pre_tokenizer = pre_tokenizers.Whitespace()
        return PreTrainedTokenizerFast(
            tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
        )

    return make


def test_names_are_those_of_the_package():
    assert diagnose.NAMES == DIAGNOSTICS


def test_everything_is_written(checkpoints, tmp_path, capsys):
    code = main(
        [
            "diagnose",
            *("--model", str(checkpoints / "judged")),
            *("--reference", str(checkpoints / "before")),
            *("--retain-model", str(checkpoints / "never")),
            *("--tasks", "nano_kfr"),
            *("--limit", "3"),
            *("--output", str(tmp_path / "out")),
        ]
    )
    assert code == 0
    document = json.loads((tmp_path / "out" / "diagnostics.json").read_text())
    assert document["schema_version"] == "1.0"
    assert (document["model"], document["reference"], document["retain"]) == ("judged", "before", "never")
    assert document["rows"] == 3
    assert set(document["tables"]) == set(DIAGNOSTICS)
    assert "uds" in document["tables"]["depth"]
    assert (tmp_path / "out" / "diagnostics.npz").exists()
    assert len(list((tmp_path / "out").glob("*.png"))) == 5
    out = capsys.readouterr().out
    assert "uds" in out
    assert str(tmp_path / "out" / "diagnostics.json") in out
    assert str(checkpoints) not in json.dumps(document)  # no path of this machine in what travels


def test_without_other_models_it_says_what_is_missing(checkpoints, tmp_path, capsys):
    arguments = ["--model", str(checkpoints / "judged"), "--limit", "2", "--no-plots", "--output", str(tmp_path)]
    assert main(["diagnose", *arguments]) == 0
    out = capsys.readouterr().out
    assert "depth: not available, needs the model before unlearning (--reference)" in out
    assert "weights: not available" in out


def test_a_users_mistake_has_no_traceback(checkpoints, tmp_path, capsys):
    arguments = ["--model", str(checkpoints / "judged"), "--output", str(tmp_path), "--limit", "1", "--no-plots"]
    assert main(["diagnose", *arguments, "--diagnostics", "dept"]) == 2
    assert "did you mean depth" in capsys.readouterr().err
    assert main(["diagnose", *arguments, "--prompt", "chat"]) == 2
    assert "no chat template" in capsys.readouterr().err


@pytest.mark.skipif(not {"nano-full", "nano-retain"} <= set(EMBEDDED), reason="the embedded checkpoints are not built")
def test_nano_full_knows_and_nano_retain_does_not():
    from unlearn_bench.data import load
    from unlearn_bench.diagnostics.diagnose import diagnose as run
    from unlearn_bench.models.subject import load_subject

    rows = load("nano", "forget").rows[::8]
    asked = ("token_distribution", "depth")
    found = {}
    for name in ("nano-full", "nano-retain"):
        # every model loaded for itself, as on the command line: the same weights at another place in memory
        (judged, tokenizer), (full, _), (retain, _) = map(load_subject, (name, "nano-full", "nano-retain"))
        found[name] = run(judged, tokenizer, rows, reference=full, retain=retain, diagnostics=asked).document.tables
    full, retain = found["nano-full"], found["nano-retain"]
    assert full["depth"]["uds"].value == 0
    assert retain["depth"]["uds"].value == 1
    name = "forced_entity_gold_probability"
    assert full["token_distribution"][name].value > 0.9
    assert retain["token_distribution"][name].value < 0.5
