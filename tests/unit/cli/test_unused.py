"""What a verb would not read is refused in one line, and what it reads is not."""

import argparse
from types import SimpleNamespace

import pytest

from unlearn_bench.cli import VERBS, _options, main
from unlearn_bench.cli._unused import given
from unlearn_bench.errors import EXIT_USAGE, UserError

SUBMIT = ("submit", "log.json", "--leaderboard", "b.json", "--name", "x", "--submitter", "me")
DIAGNOSE = ("diagnose", "--model", "nano-full", "--diagnostics")
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
        (("stress", "--self-test", "--limit", "0.5"), "--limit 0.5: --self-test asks a number of questions"),
        (("run", "--backend", "api", "--dtype", "bfloat16"), "--dtype is not read by --backend api"),
        (("run", "--backend", "vllm", "--device", "cuda:1"), "--device is not read by --backend vllm"),
        (("run", "--data-dir", "d", "--data-revision", "abc"), "--data-revision is a commit of the hub"),
        (("augment", "--dataset", "nano", "--output", "o", "--llm-retries", "1"), "--llm-retries is for --writer"),
        (("augment", "--dataset", "nano", "--output", "o", "--batch-size", "2"), "--batch-size is for --writer hf"),
        (("augment", "--dataset", "nano", "--output", "o", "--no-completion", "--completion-share", "0.5"),
         "--completion-share has no effect"),
        (("augment", "--dataset", __file__, "--output", "o", "--data-dir", "d"), f"--data-dir d: --dataset {__file__}"),
        (("run", "--original", "nano-full"), "--original has no effect without --oracle"),
        (("score", "a.json", "--original", "b.json"), "--original has no effect without --oracle"),
        (("score", "a.json", "--overwrite"), "--overwrite is for --output"),
        (("score", "a.json", "--input-format", "samples", "--map", "question=q"), "samples has keys of its own"),
        (("validate", "--tasks", "nano", "--forget-split", "forget05"), "--forget-split forget05: none of the tasks"),
        ((*DIAGNOSE, "depth", "--positions", "3"), "--positions is for --diagnostics token_distribution,logit_lens"),
        ((*DIAGNOSE, "circuits", "--candidates", "3"), "--candidates is for --diagnostics token_distribution"),
        ((*DIAGNOSE, "depth,weights", "--question", "2"), "--question is for --diagnostics token_distribution"),
        ((*DIAGNOSE, "circuits,weights", "--oracle", "m"), "--oracle is for --diagnostics logit_lens,depth"),
        ((*DIAGNOSE, "logit_lens", "--original", "m"), "--original is for --diagnostics token_distribution"),
        (("stress", "--model", "nano-full", "--margin", "0.2"), "--margin judges the excess over an oracle"),
        (("stress", "--model", "nano-full", "--controls", "d"), "--controls keeps the answers of oracle and original"),
        (("verify", ".", "--similarity", "minilm-l6"), "--similarity says how evidence is computed"),
        (("verify", ".", "--profile", "standard"), "--profile says how evidence is computed"),
        (("tasks", "nano_kfr", "--dir"), "--dir prints one folder for all tasks"),
        (("nano", "build", "--checkpoints", "nano-ga", "--seed", "3"), "--seed is of checkpoints made from nothing"),
        (("nano", "reproduce", "--list", "--json"), "--json prints the table, and --list makes none"),
        (("smol", "meta", "--list", "--json"), "--json prints the table, and --list makes none"),
        (("train", "--method", "ga+gdr", "--model", "nano-full", "--output", "o", "--dataset", "nano",
          "--forget", "nano:forget", "--retain", "nano:retain"), "--dataset is given, and so are the sets"),
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
        (("--judge-temperature", "0.5", "--judge", "nano-full"), "--judge-temperature: the judge is a checkpoint"),
        (("--judge-cache", "c.jsonl", "--verdicts", "v.jsonl"), "--judge-cache: no judge is asked"),
        (("--judge-temperature", "0.5", "--judge", "http://127.0.0.1:1/v1", "--judge-model", "m"), None),
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


@pytest.mark.parametrize(
    ("named", "flags", "told"),
    [
        ("result", ("--stress", "quantization"), "--stress is for checkpoints, and only results and logs are named"),
        ("log", ("--stress", "quantization"), "--stress is for checkpoints"),
        ("result", ("--limit", "3"), "--limit is for checkpoints"),
        ("log", ("--dtype", "bfloat16"), "--dtype is for checkpoints"),
        ("result", ("--kfr-rule", "paper"), "--kfr-rule says how answers are scored, and only results are named"),
        ("log", ("--kfr-rule", "paper"), None),
        ("checkpoint", ("--stress", "quantization", "--limit", "3", "--kfr-rule", "paper"), None),
    ],
)
def test_meta_reads_what_its_models_need(named, flags, told, tmp_path):
    from unlearn_bench.cli import meta

    result, log = tmp_path / "one" / "result.json", tmp_path / "log.json"
    result.parent.mkdir()
    for path in (result, log):
        path.write_text("{}")
    other = {"result": str(result.parent), "log": str(log), "checkpoint": "nano-full"}[named]
    parser = argparse.ArgumentParser()
    meta.add_arguments(parser)
    args = parser.parse_args(["--positive", str(result.parent), "--negative", other, *flags])
    if told is None:
        assert meta._spec(args).run.scoring.options == {"kfr_rule": "paper"}
    else:
        with pytest.raises(UserError, match=told):
            meta._spec(args)


@pytest.mark.parametrize("shots", [None, 0, 3])
def test_a_seed_of_examples_that_no_task_shows_is_refused(shots):
    from unlearn_bench.harness.spec import FEWSHOT_SEED
    from unlearn_bench.harness.stock import StockTasks, check_fewshot_seed

    stock = StockTasks({"toy": SimpleNamespace(get_config={"num_fewshot": shots}.get)}, {})
    check_fewshot_seed(FEWSHOT_SEED, None)
    check_fewshot_seed(FEWSHOT_SEED, stock)
    if shots:
        check_fewshot_seed(7, stock)
        return
    with pytest.raises(UserError, match="--fewshot-seed 7: no task of the run shows examples"):
        check_fewshot_seed(7, stock)


def test_a_run_without_stock_tasks_shows_no_examples():
    from unlearn_bench.harness.run import evaluate
    from unlearn_bench.harness.spec import RunSpec

    with pytest.raises(UserError, match="--fewshot-seed 7: no task of the run shows examples"):
        evaluate(RunSpec(tasks=("nano_forget",), fewshot_seed=7))


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
