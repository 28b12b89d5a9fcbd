"""What a verb would not read is refused in one line, and what it reads is not."""

import argparse

import pytest

from unlearn_bench.cli import VERBS, _options, main
from unlearn_bench.cli._unused import given
from unlearn_bench.errors import EXIT_USAGE, UserError

SUBMIT = ("submit", "log.json", "--leaderboard", "b.json", "--name", "x", "--submitter", "me")
PUBLISHED = (*SUBMIT, "--maintainer", "--source", "https://example.org", "--published", "oracle")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*PUBLISHED, "--training", "t.json"), "--training says something of a result"),
        ((*PUBLISHED, "--samples", "s.jsonl"), "--samples says something of a result"),
        ((*PUBLISHED, "--keep-samples"), "--keep-samples says something of a result"),
        ((*PUBLISHED, "--no-rescore"), "--no-rescore says something of a result"),
        ((*PUBLISHED, "--data-dir", "d"), "--data-dir says something of a result"),
        ((*SUBMIT, "--licence", "MIT"), "--licence is for a published log"),
        ((*SUBMIT, "--because", "why"), "--because says why an entry is replaced"),
        ((*SUBMIT, "--maintainer"), "--maintainer replaces any submitter's entry"),
        (("export", "r", "--to", "open-unlearning", "--organization", "us"), "--organization is not said in"),
        (("compare", "a", "b", "--json", "--flips", "3"), "--flips is for --format text"),
        (("compare", "a", "b", "--json", "--format", "md"), "--json and --format md exclude each other"),
        (("stress", "--self-test", "--panel", "full"), "--panel is not read: --self-test has its own"),
        (("stress", "--self-test", "--model", "nano-full"), "--model is not read: --self-test has its own"),
        (("run", "--backend", "api", "--dtype", "bfloat16"), "--dtype is not read by --backend api"),
        (("run", "--backend", "vllm", "--device", "cuda:1"), "--device is not read by --backend vllm"),
        (("run", "--data-dir", "d", "--data-revision", "abc"), "--data-revision is a commit of the hub"),
        (("augment", "--dataset", "nano", "--output", "o", "--llm-retries", "1"), "--llm-retries is for --writer"),
        (("augment", "--dataset", "nano", "--output", "o", "--batch-size", "2"), "--batch-size is for --writer hf"),
        (("augment", "--dataset", "nano", "--output", "o", "--no-completion", "--completion-share", "0.5"),
         "--completion-share has no effect"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused(arguments, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == EXIT_USAGE
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--judges", "forget"), "--judges: no judge is asked"),
        (("--weak-judge",), "--weak-judge: no judge is asked"),
        (("--judge-temperature", "0.5"), "--judge-temperature: no judge is asked"),
        (("--llm-cache", "c"), "--llm-cache: no part asks a chat model"),
        (("--agreement-embedder", "m"), "--agreement-embedder: agreement uses no embedder"),
        (("--nli-revision", "abc"), "--nli-revision: no NLI model is used"),
        (("--embedder-revision", "abc"), "--embedder-revision: no embedder of the hub is used"),
        (("--ppl-revision", "abc"), "--ppl-revision: no perplexity model of the hub is used"),
        (("--judges", "forget", "--judge", "nano-full"), None),
        (("--judges", "forget", "--verdicts", "v.jsonl"), None),
        (("--llm-model", "m", "--entities", "llm"), None),
        (("--llm-model", "m", "--profile", "paper"), None),
        (("--nli-revision", "abc", "--profile", "paper"), None),
        (("--nli-labels", "a,b,c", "--nli", "org/model"), None),
        (("--agreement-embedder", "m", "--agreement", "local"), None),
        (("--ppl-revision", "abc", "--ppl-model", "org/model"), None),
    ],
)
def test_settings_of_what_is_not_asked_are_refused(options, told):
    parser = argparse.ArgumentParser()
    _options.add_scoring_arguments(parser)
    args = parser.parse_args(options)
    if told is None:
        assert len(_options.scoring_settings(args)) > 1
    else:
        with pytest.raises(UserError, match=told):
            _options.scoring_settings(args)


def test_a_default_is_not_given():
    required = {
        "submit": SUBMIT[1:], "augment": ("--dataset", "nano", "--output", "o"), "compare": ("a",), "score": ("a",),
        "check": ("a", "--baseline", "b"), "verify": ("a",), "run": (), "stress": (), "label": ("a", "--output", "o"),
    }  # fmt: skip
    for verb, arguments in required.items():
        module = VERBS.module(verb)
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        needed = {text for text in arguments if text.startswith("--")}
        assert set(given(parser.parse_args(arguments), module.add_arguments)) == needed, verb
