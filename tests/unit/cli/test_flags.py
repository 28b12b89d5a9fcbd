"""One flag, one meaning: over all verbs a name reads its values alike, and says the same; earlier names warn."""

import argparse
import json
import re
from collections import defaultdict

import pytest

from unlearn_bench.cli import build_parser, main
from unlearn_bench.cli._flags import FLAGS
from unlearn_bench.cli._parser import Listed

# A flag that a verb may narrow or widen, and in what.
WIDER = {
    "--batch-size": "type",  # `run` also takes auto
    "--format": "choices",  # each verb has its own
}


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, verb in action.choices.items():
                found |= {name: verb, **{f"{name} {k}": v for k, v in _verbs(verb).items()}}
    return found


PARSER = build_parser()
VERBS = _verbs(PARSER)


def _flags() -> dict[str, dict[str, argparse.Action]]:
    """Flag to verb to action; what the help hides is a former name."""
    found: dict[str, dict[str, argparse.Action]] = defaultdict(dict)
    for verb, parser in VERBS.items():
        for action in parser._actions:
            if action.help != argparse.SUPPRESS:
                for name in action.option_strings:
                    found[name][verb] = action
    return found


def _scoring(action: argparse.Action, parser: argparse.ArgumentParser) -> bool:
    """Declared by one function for all verbs."""
    groups = {id(a): g.title or "" for g in parser._action_groups for a in g._group_actions}
    return groups.get(id(action), "").startswith("scoring") or action.option_strings[0].startswith("--llm-")


SHARED = {
    name: found
    for name, found in _flags().items()
    if len(found) > 1 and name not in ("-h", "--help") and not name.startswith("--no-")
}


@pytest.mark.parametrize("name", sorted(SHARED))
def test_a_flag_of_several_verbs_means_the_same_in_each(name):
    actions = SHARED[name]
    assert len({action.dest for action in actions.values()}) == 1, actions
    assert len({type(action) for action in actions.values()}) == 1, actions
    assert len({action.nargs for action in actions.values()}) == 1, actions
    if WIDER.get(name) != "type":
        assert len({repr(action.type) for action in actions.values()}) == 1, actions
    if WIDER.get(name) != "choices":
        assert len({tuple(action.choices or ()) for action in actions.values()}) == 1, actions


@pytest.mark.parametrize("name", sorted(SHARED))
def test_a_flag_of_several_verbs_is_declared_once(name):
    """Its help begins alike, as the table of shared flags says it."""
    if all(_scoring(action, VERBS[verb]) for verb, action in SHARED[name].items()) or name == "--calibration":
        return
    assert name in FLAGS, f"{name} is declared in {sorted(SHARED[name])} and belongs into FLAGS"
    for verb, action in SHARED[name].items():
        assert action.help.startswith(FLAGS[name]["help"]), verb


def test_lists_come_between_commas_and_by_repeated_flags():
    parse = PARSER.parse_args
    assert parse(["run", "--tasks", "a,b", "--tasks", "c,a"]).tasks == ("a", "b", "c")
    assert parse(["run"]).tasks == ("nano",)
    assert parse(["run", "--tasks", "a"]).tasks == ("a",)
    assert parse(["run", "--tasks", "a"]).tasks == ("a",)  # one call leaves nothing to the next
    trained = ["train", "--method", "ga", "--model", "m", "--output", "o"]
    given = parse([*trained, "--forget", "nano:forget,b.json", "--forget", "c", "--set", "npo.beta=1,a.b=[1,2]"])
    assert given.forget == ("nano:forget", "b.json", "c")
    assert given.set == ("npo.beta=1", "a.b=[1,2]")
    assert parse([*trained, "--trainable", "x{1,2}", "--trainable", "y"]).trainable == ("x{1,2}", "y")
    named = parse(["nano", "reproduce", "--methods", "relearn, no variants,ga", "--seeds", "0,2"])
    assert (named.methods, named.seeds) == (("relearn, no variants", "ga"), (0, 2))
    for verb, parser in VERBS.items():
        for action in parser._actions:
            assert not isinstance(action, argparse._AppendAction), f"{verb} {action.option_strings}"
            if isinstance(action, Listed):
                assert action.default in (None, argparse.SUPPRESS) or isinstance(action.default, tuple)


@pytest.mark.parametrize(
    ("arguments", "former", "now", "name", "value"),
    [
        (("run", "--reference", "m"), "--reference", "--original", "original", "m"),
        (("run", "--retain-model", "m"), "--retain-model", "--oracle", "oracle", "m"),
        (("run", "--parity"), "--parity", "--rules released", "rules", "released"),
        (("run", "--embedder", "given"), "--embedder", "--similarity", "embedder", "given"),
        (("diagnose", "--model", "m", "--reference", "n"), "--reference", "--original", "original", "n"),
        (("diagnose", "--model", "m", "--top-k", "3"), "--top-k", "--candidates", "candidates", 3),
        (("score", "f", "--split", "forget"), "--split", "--role", "role", "forget"),
        (("score", "f", "--format", "csv"), "--format", "--input-format", "input_format", "csv"),
        (("augment", "--no-strict"), "--no-strict", "--no-strict-secrets", "strict_secrets", False),
        (("train", "--style", "qa"), "--style", "--prompt", "prompt", "qa"),
        (("train", "--precision", "bf16"), "--precision", "--dtype", "dtype", "bfloat16"),
        (("train", "--reference", "copy"), "--reference", "--reference-from", "reference_from", "copy"),
        (("submit", "r", "--replace"), "--replace", "--overwrite", "overwrite", True),
        (("nano", "build", "--force"), "--force", "--overwrite", "overwrite", True),
        (("nano", "build", "--name", "a", "b"), "--name", "--checkpoints", "checkpoints", ("a", "b")),
    ],
)
def test_a_former_name_works_and_warns_in_one_line(capsys, arguments, former, now, name, value):
    needed = {
        "augment": ["--dataset", "nano", "--output", "o"],
        "train": ["--method", "ga", "--model", "m", "--output", "o"],
        "submit": ["--leaderboard", "b", "--name", "n"],
    }
    found = PARSER.parse_args([*arguments, *needed.get(arguments[0], [])])
    assert getattr(found, name) == value
    err = capsys.readouterr().err
    assert f"{former} is called {now} now; {former} goes away in 0.3" in err
    assert len(err.splitlines()) == 1


def test_a_former_value_that_is_none_is_refused(capsys):
    assert main(["train", "--method", "ga", "--model", "m", "--output", "o", "--precision", "fp64"]) == 2
    assert "invalid choice: 'fp64'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_help_can_be_printed_and_explains_every_option(verb):
    text = VERBS[verb].format_help()
    assert "==SUPPRESS==" not in text
    for action in VERBS[verb]._actions:
        assert action.help, action


def test_versions_are_told_without_importing_the_libraries(capsys, monkeypatch):
    import builtins

    kept = builtins.__import__

    def guarded(name, *arguments, **named):
        assert name.split(".")[0] not in ("torch", "transformers", "lm_eval"), name
        return kept(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", guarded)
    assert main(["version", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"unlearn-bench", "python", "torch", "transformers", "lm_eval"} <= {k for k, v in found.items() if v}
    assert main(["version"]) == 0
    assert f"torch                  {found['torch']}" in capsys.readouterr().out


def test_task_patterns_choose_and_a_pattern_without_a_match_is_an_error(capsys):
    assert main(["tasks", "tofu_*", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "tofu_kfr" in found
    assert all(name.startswith("tofu_") for name in found)
    for arguments in (["tasks", "tofoo_*"], ["validate", "--tasks", "tofoo_*"], ["run", "--tasks", "tofoo_*"]):
        assert main(arguments) == 2
        assert "unknown task 'tofoo_*'" in capsys.readouterr().err


def test_tasks_are_listed_with_data_and_licence(capsys):
    assert main(["tasks", "lume_forget_qa", "wmdp_bio_cloze", "tofu_forget", "tofu"]) == 0
    cells = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    assert cells[0] == ["task", "data", "licence"]
    found = {row[0]: row[1:3] for row in cells[1:]}
    assert found["lume_forget_qa"] == ["lume:forget_qa", "Apache-2.0"]
    assert found["wmdp_bio_cloze"] == ["wmdp:bio_cloze", "not stated"]
    assert found["tofu_forget"] == ["tofu:forget10", "MIT"]
    assert found["tofu"][0].startswith("group: tofu_forget")
