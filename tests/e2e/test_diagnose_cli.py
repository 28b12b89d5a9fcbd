"""`unlearn-bench diagnose` from the command line on tiny checkpoints."""

import json

import numpy as np
import pytest

from tests.unit.diagnostics.conftest import build
from unlearn_bench.cli import diagnose, main
from unlearn_bench.diagnostics.schema import DIAGNOSTICS
from unlearn_bench.nano import EMBEDDED

pytestmark = pytest.mark.slow


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


@pytest.fixture(scope="module")
def variants(checkpoints, tokenizer_factory):
    """What cannot be compared with the judged model, one by one."""
    models = {
        "wide": build("llama", vocab_size=99),
        "deep": build("llama", vocab_size=64, num_hidden_layers=4),
        "neox": build("gpt_neox", vocab_size=64),
        "other": build("llama", vocab_size=64),
        "short": build("llama", vocab_size=64, max_position_embeddings=4),
    }
    for name, model in models.items():
        model.save_pretrained(checkpoints / name)
        tokenizer = tokenizer_factory()
        if name == "other":
            tokenizer.backend_tokenizer.model = type(tokenizer.backend_tokenizer.model)({"<unk>": 7}, unk_token="<unk>")
        tokenizer.save_pretrained(checkpoints / name)


def test_names_are_those_of_the_package():
    assert diagnose.NAMES == DIAGNOSTICS


@pytest.mark.slow
def test_everything_is_written(checkpoints, tmp_path, capsys):
    code = main(
        [
            "diagnose",
            *("--model", str(checkpoints / "judged")),
            *("--original", str(checkpoints / "before")),
            *("--oracle", str(checkpoints / "never")),
            *("--tasks", "nano_kfr"),
            *("--limit", "3"),
            *("--output", str(tmp_path / "out")),
        ]
    )
    assert code == 0
    document = json.loads((tmp_path / "out" / "diagnostics.json").read_text())
    assert document["schema_version"] == "1.0"
    assert (document["model"], document["original"], document["oracle"]) == ("judged", "before", "never")
    assert document["rows"] == 3
    assert set(document["tables"]) == set(DIAGNOSTICS)
    assert "uds" in document["tables"]["depth"]
    assert (tmp_path / "out" / "diagnostics.npz").exists()
    assert len(list((tmp_path / "out").glob("*.png"))) == 5
    out = capsys.readouterr().out
    assert "uds" in out
    assert str(tmp_path / "out" / "diagnostics.json") in out
    assert str(checkpoints) not in json.dumps(document)  # no path of this machine in what travels


def test_a_diagnosis_is_not_replaced_by_one_of_something_else(checkpoints, tmp_path, capsys):
    base = ["diagnose", "--limit", "1", "--no-plots", "--quiet", "--output", str(tmp_path)]
    judged = ["--model", str(checkpoints / "judged"), "--diagnostics", "token_distribution"]
    assert main([*base, *judged]) == 0
    before = (tmp_path / "diagnostics.json").read_bytes()
    for more, said in (
        (["--model", str(checkpoints / "before"), "--diagnostics", "token_distribution"], "another model"),
        ([*judged, "--original", str(checkpoints / "before")], "another original"),
        ([*judged, "--positions", "3"], "another positions"),
        ([*judged[:2], "--diagnostics", "logit_lens"], "another diagnostics"),
    ):
        assert main([*base, *more]) == 2
        assert said in capsys.readouterr().err
        assert (tmp_path / "diagnostics.json").read_bytes() == before
    assert main([*base, *judged]) == 0
    assert (
        main([*base, "--model", str(checkpoints / "before"), "--diagnostics", "token_distribution", "--overwrite"]) == 0
    )
    assert json.loads((tmp_path / "diagnostics.json").read_text())["model"] == "before"


def test_without_other_models_it_says_what_is_missing(checkpoints, tmp_path, capsys):
    arguments = ["--model", str(checkpoints / "judged"), "--limit", "2", "--no-plots", "--output", str(tmp_path)]
    assert main(["diagnose", *arguments]) == 0
    out = capsys.readouterr().out
    assert "depth: not available, needs the checkpoint before unlearning (--original)" in out
    assert "weights: not available" in out


def test_a_users_mistake_has_no_traceback(checkpoints, tmp_path, capsys):
    arguments = ["--model", str(checkpoints / "judged"), "--output", str(tmp_path), "--limit", "1", "--no-plots"]
    assert main(["diagnose", *arguments, "--diagnostics", "dept"]) == 2
    assert "did you mean depth" in capsys.readouterr().err
    assert main(["diagnose", *arguments, "--prompt", "chat"]) == 2
    assert "no chat template" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "nowhere"), "model nowhere: no such folder, file, embedded model or hub id"),
        (("--original", "nowhere"), "model nowhere: no such folder"),
        (("--oracle", "wide"), "--oracle has a vocabulary of 99, the judged model 64"),
        (("--original", "before", "--oracle", "deep"), "--oracle: 4 blocks, width 32"),
        (("--original", "neox"), "weights: the two models differ in shape"),
        (("--original", "other"), "its tokenizer reads the questions as other tokens"),
        (("--limit", "0"), "expected a number of questions"),
        (("--device", "gpu"), "--device gpu: torch knows no such device"),
        (("--device", "cuda:99"), "--device cuda:99: torch sees"),
        (("--question", "2"), "--question 2: no such question among the 1"),
        (("--diagnostics", "circuit"), "did you mean circuits?"),
        (("--model", "short"), "no row to analyse: 1 longer than the context of a model"),
        (("--tasks", "nano_kfrr"), "or nano_kfr or"),
    ],
)
def test_bad_input_is_one_clear_line(checkpoints, variants, tmp_path, capsys, arguments, words):
    given = [str(checkpoints / a) if (checkpoints / a / "config.json").exists() else a for a in arguments]
    command = ["--model", str(checkpoints / "judged"), "--limit", "1", "--no-plots", "--output", str(tmp_path), *given]
    assert main(["diagnose", *command]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert not (tmp_path / "diagnostics.json").exists()


def test_an_unknown_diagnostic_is_refused_before_a_model_is_loaded(tmp_path, capsys):
    assert main(["diagnose", "--model", "nowhere", "--diagnostics", "dept", "--output", str(tmp_path)]) == 2
    assert "did you mean depth" in capsys.readouterr().err


def test_what_was_left_out_or_guessed_is_told(checkpoints, capsys, tmp_path, monkeypatch):
    from unlearn_bench.schema import Row

    rows = [
        Row(id="a", split="forget", question="who was it?", answer="a b."),
        Row(id="b", split="forget", question="who was it?", answer="it was."),
        Row(id="c", split="forget", question="who was it?", answer="-"),
    ]
    monkeypatch.setattr(diagnose, "_rows", lambda args: rows)
    models = ("--original", str(checkpoints / "before"), "--oracle", str(checkpoints / "never"))
    command = ["--model", str(checkpoints / "judged"), *models, "--no-plots", "--output", str(tmp_path)]
    assert main(["diagnose", *command]) == 0
    out = capsys.readouterr().out
    assert "1 questions were not analysed: without an answer in words" in out
    assert "no entity was found in 1 answers" in out
    assert "warning: depth: before and never agree on no token" in out


@pytest.mark.slow
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
        found[name] = run(judged, tokenizer, rows, original=full, oracle=retain, diagnostics=asked).document
        assert not found[name].warnings  # both models branch off one training
    full, retain = (found[name].tables for name in ("nano-full", "nano-retain"))
    assert full["depth"]["control"].value < 0.05 < 1 < np.mean(found["nano-full"].layers["depth"]["d1"])
    assert full["depth"]["uds"].value == 0
    assert retain["depth"]["uds"].value == 1
    name = "forced_entity_gold_probability"
    assert full["token_distribution"][name].value > 0.9
    assert retain["token_distribution"][name].value < 0.5
