import io

from rich.console import Console

from tests.leaderboard_documents import HARNESS
from unlearn_bench.result_table import print_table, summary_lines, table_rows, unscored_lines
from unlearn_bench.result_words import answer_lines
from unlearn_bench.schema import (
    ClusterInfo,
    DatasetInfo,
    MetricValue,
    ModelInfo,
    NeverKnew,
    Place,
    Result,
    ScorerInfo,
    TaskResult,
)

SHA = "0" * 64


def make_result() -> Result:
    metrics = {
        "kfr": MetricValue(value=0.8545, ci95=(0.777, 0.908), ci_method="cluster_wilson", n=110, unscored=2),
        "perplexity": MetricValue(value=25_000_000.0, ci95=None, n=1),
        "ls": MetricValue(value=None, n=0, unscored=112),
    }
    task = TaskResult(
        version="1",
        split="forget",
        dataset=DatasetInfo(name="d", split="forget", revision=None, sha256=SHA, source="file"),
        prompt=None,
        generation={},
        scorer=ScorerInfo(profile="offline", parts={}, fingerprint=SHA),
        n=112,
        clusters=ClusterInfo(key="cluster", n=15),
        empty=0,
        degenerate=7,
        metrics=metrics,
    )
    return Result(
        model=ModelInfo(name="m", source="x", adapter="lora"),
        harness=HARNESS,
        run={"limit": 0.1, "backend": "hf"},
        tasks={"[bold]forget": task},
        other={"mmlu": {"acc": 0.25, "acc_stderr": 0.05}},
        other_n={"mmlu": 20},
        notes=["a note"],
        fingerprint=SHA,
    )


def test_rows_as_a_reader_sees_them() -> None:
    out = io.StringIO()
    print_table(make_result(), console=Console(file=out, width=40))
    lines = [line.split() for line in out.getvalue().splitlines() if line.strip()]
    header = ["task", "metric", "value", "95", "%", "interval", "n", "unscored", "degenerate"]
    assert lines[0] == ["model", "m", "+", "lora,", "offline", "profile,", "limit", "0.1,", "backend", "hf"]
    assert lines[1] == header
    assert ["[bold]forget", "kfr", "0.8545", "0.7770", "..", "0.9080", "*", "110", "2", "7"] in lines
    assert ["perplexity", "2.5e+07", "1", "0"] in lines
    assert ["ls", "undefined", "0", "112"] in lines
    assert ["mmlu", "acc", "0.2500", "stderr", "0.0500", "20"] in lines
    assert ["a", "note"] in lines
    assert "interval over clusters of questions (15 of them)" in out.getvalue()


def test_a_terminal_without_unicode_can_show_it() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    print_table(make_result(), console=Console(file=out))
    out.flush()
    assert b"0.8545" in raw.getvalue()


def test_the_reasons_of_what_is_unscored_stand_below_the_table() -> None:
    result = make_result()
    task = next(iter(result.tasks.values()))
    task.metrics["kfr"].unscored_reasons = {"no_answer": 2}
    for metric in ("ls", "perplexity", "fluency", "krr", "rougeL_recall"):
        task.metrics[metric] = MetricValue(value=None, n=0, unscored=3, unscored_reasons={"judge\n::error::": 3})
    assert unscored_lines(result) == [
        "unscored, no_answer: [bold]forget/kfr 2",
        r"unscored, judge\n::error::: [bold]forget/perplexity 3, [bold]forget/ls 3, [bold]forget/fluency 3, "
        "[bold]forget/krr 3 and 1 more",
    ]


def test_what_a_model_that_never_knew_scores_stands_below_the_number():
    result = make_result()
    metric = result.tasks["[bold]forget"].metrics["kfr"]
    metric.never_knew = NeverKnew(value=0.3537, source="a model of that name (arXiv 1)")
    out = io.StringIO()
    print_table(result, console=Console(file=out, width=120))
    lines = out.getvalue().splitlines()
    number = next(i for i, line in enumerate(lines) if "0.8545" in line)
    assert lines[number + 1].split() == ["never", "knew", "0.3537"]
    assert "never knew: a model of that name (arXiv 1): [bold]forget/kfr" in out.getvalue()


def test_undefined_numbers_of_a_summary_share_a_line():
    reasons = {"forget_quality": "no_oracle", "forget_ks": "no_oracle", "mia_loss": "no_holdout_rows"}
    metrics = {
        name: MetricValue(value=None, n=0, unscored=9, unscored_reasons={why: 9}) for name, why in reasons.items()
    }
    result = make_result()
    (task,) = result.tasks.values()
    metrics["model_utility"] = MetricValue(value=0.5, n=9)
    result.tasks = {"nano_summary": task.model_copy(update={"metrics": metrics})}
    assert [row[0] for row in table_rows(result)["nano_summary"]] == ["model_utility"]
    assert unscored_lines(result) == []
    assert summary_lines(result) == [
        "nano_summary: no forget_quality, forget_ks: they need --oracle, a model that never saw the forget set; "
        "no mia_loss: no holdout rows were asked"
    ]


def two_sided(**degenerate: int) -> Result:
    """A result of both sides, with an alias of the forget questions, a paraphrase and neighbours."""
    one = make_result()
    template = one.tasks["[bold]forget"]

    def task(role: str, own: dict[str, float | None], name: str, **changes: object) -> TaskResult:
        metrics = {
            key: MetricValue(value=value, ci95=(0.8, 0.9976), ci_method="wilson", n=10) for key, value in own.items()
        }
        broken = {"degenerate": degenerate.get(name, 0), "n": 10}
        return template.model_copy(update={"role": role, "metrics": metrics, **broken, **changes})

    tasks = {
        "a_forget": task("forget", {"kfr": 0.929, "fluency": 0.98}, "a_forget"),
        "a_forget_paraphrase": task("forget", {"kfr": None}, "a_forget_paraphrase"),
        "a_kfr": task("forget", {"kfr": 0.929}, "a_kfr", samples_of=["a_forget"]),
        "a_neighbour": task("neighbour", {"krr": 0.5}, "a_neighbour"),
        "a_retain": task("retain", {"krr": 1.0, "fluency": 0.5}, "a_retain"),
    }
    return one.model_copy(update={"tasks": tasks})


def test_three_lines_say_what_the_table_says() -> None:
    assert answer_lines(two_sided()) == [
        "did it forget?  92.9 % (80 .. 99.8) of the answers to a_forget no longer give the knowledge (kfr); "
        "a_forget_paraphrase undefined",
        "did it retain?  100 % (80 .. 99.8) of the answers to a_retain give the knowledge (krr); a_neighbour 50 %",
        "does it speak?  fluency 0.98 on a_forget, 0.50 on a_retain",
    ]
    broken = answer_lines(two_sided(a_forget=7))[-1]
    assert broken.endswith("0.50 on a_retain; no language (degenerate): 7 of 10 on a_forget")
    out = io.StringIO()
    print_table(two_sided(), console=Console(file=out, width=40))
    assert answer_lines(two_sided())[0] in out.getvalue()  # not folded


def test_one_side_is_no_answer() -> None:
    assert answer_lines(make_result()) == []


def test_a_place_is_told_with_the_first_number() -> None:
    found = two_sided()
    place = Place(value=1.3, ci95=(1.2, 1.4), original=0.1, oracle=0.8, over_forgotten=True)
    placed = found.tasks["a_forget"].metrics["kfr"].model_copy(update={"place": place})
    found.tasks["a_forget"].metrics["kfr"] = placed
    assert "(kfr), place 1.30, over-forgotten; a_forget_paraphrase" in answer_lines(found)[0]
