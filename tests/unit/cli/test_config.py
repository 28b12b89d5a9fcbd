"""--config: a YAML file of a verb's flags; the command line wins; what is wrong is named."""

import pytest

from unlearn_bench.cli import build_parser, main


@pytest.fixture
def parsed(tmp_path):
    """Parse a verb's arguments with a file of this text."""

    def parse(text: str, *arguments: str):
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return build_parser().parse_args([arguments[0], "--config", str(path), *arguments[1:]])

    return parse


def test_values_are_read_as_on_the_command_line(parsed):
    found = parsed(
        """
model: nano-retain
tasks: [nano_kfr, 'tofu_*']
limit: 0.5
batch-size: auto
top_p: 1
template_date: 2025-01-31
thinking: off
first_answer: false
plots: true
allow-pickle: true
overwrite: false
rules: released
model_args: {parallelize: true, base_url: http://localhost:8000/v1}
scorer_option: {kfr_threshold: 0.4}

""",
        "run",
    )
    same = build_parser().parse_args(
        [
            *("run", "--model", "nano-retain", "--tasks", "nano_kfr,tofu_*", "--limit", "0.5", "--batch-size", "auto"),
            *("--top-p", "1", "--template-date", "2025-01-31", "--thinking", "off", "--no-first-answer", "--plots"),
            *("--allow-pickle", "--rules", "released", "--scorer-option", "kfr_threshold=0.4"),
            *("--model-args", "parallelize=true,base_url=http://localhost:8000/v1"),
        ]
    )
    without = {"config", "module"}
    assert {k: v for k, v in vars(found).items() if k not in without} == {
        k: v for k, v in vars(same).items() if k not in without
    }


def test_the_command_line_wins(parsed):
    found = parsed(
        "tasks: [a, b]\nlimit: 3\nquiet: true\nplots: false\n", "run", "--tasks", "c", "--limit", "4", "--plots"
    )
    assert (found.tasks, found.limit, found.quiet, found.plots) == (("c",), 4, True, True)


def test_what_a_verb_needs_may_stand_in_the_file(parsed):
    found = parsed(
        "method: npo+gdr\nmodel: nano-full\noutput: out\ndataset: nano\nset:\n  npo.beta: 0.2\nepochs: 2\n"
        "trainable: ['mlp.*{1,2}']\n",
        "train",
    )
    assert (found.method, found.set, found.epochs, found.trainable) == (
        *("npo+gdr", ("npo.beta=0.2",), 2.0, ("mlp.*{1,2}",)),
    )
    assert parsed("dataset: nano\noutput: x.jsonl\nvariants: none\n", "augment").variants == ()
    assert parsed("model: nano-full\ndiagnostics: depth\n", "diagnose").diagnostics == ("depth",)
    assert parsed("role: forget\nmetrics: [kfr]\n", "score", "a.jsonl").metrics == ("kfr",)


def test_a_former_name_works_and_warns(parsed, capsys):
    assert parsed("reference: nano-full\nparity: true\n", "run").original == "nano-full"
    err = capsys.readouterr().err
    assert "--reference is called --original now" in err
    assert "--parity is called --rules released now" in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("taskz: a", ("unknown flag 'taskz'", "did you mean tasks")),
        ("limit: many", ("limit: expected a number of questions",)),
        ("limit: [1, 2]", ("limit: expected one value, got [1, 2]",)),
        ("limit:", ("limit: expected one value, got nothing",)),
        ("seed: -1", ("seed: expected a number from 0",)),
        ("backend: vlm", ("backend: invalid choice: 'vlm'",)),
        ("quiet: please", ("quiet: expected true or false, got 'please'",)),
        ("config: other.yaml", ("unknown flag 'config'",)),
        ("help: true", ("unknown flag 'help'",)),
        ("limit: 3\nlimit: 4", ("not YAML: the key 'limit' is given twice",)),
        ("model_args: {a: 1, a: 2}", ("the key 'a' is given twice",)),
        ("limit: " + "9" * 5000, ("not YAML",)),
        ("limit: !!timestamp x", ("not YAML",)),
        ("? [a]\n: b", ("not YAML",)),
        ("metrics: []", ("metrics: expected a value, got []",)),
        ("model: ''", ("model: expected a value, got ''",)),
        ("- a\n- b", ("expected flags and values",)),
        ("a: [", ("not YAML", "line")),
        ("tasks: !!python/object/apply:os.system ['true']", ("not YAML",)),
        ("hf_token: abc", ("a secret does not belong in a file",)),
        ("llm_api_key_env: sk-abcdefghijklmnop", ("this looks like a secret",)),
        ("llm_base_url: http://ann:password@host/v1", ("this looks like a secret",)),
    ],
)
def test_what_is_wrong_is_named_in_one_clear_line(tmp_path, capsys, text, words):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    assert main(["run", "--config", str(path)]) == 2
    err = capsys.readouterr().err
    assert all(word in err for word in words), err
    assert "run.yaml" in err
    assert "Traceback" not in err
    assert "abcdefghijklmnop" not in err
    assert len(err.splitlines()) <= 3


def test_a_file_that_is_not_there(capsys, tmp_path):
    assert main(["run", "--config", str(tmp_path / "no.yaml")]) == 2
    assert "no.yaml: No such file" in capsys.readouterr().err
    (tmp_path / "latin.yaml").write_bytes(b"model: \xe9")
    assert main(["run", "--config", str(tmp_path / "latin.yaml")]) == 2
    assert "not YAML" in capsys.readouterr().err
