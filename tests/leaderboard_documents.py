"""Results, samples and boards for the leaderboard's tests: invented people, invented answers, real arithmetic."""

import hashlib
import json
from pathlib import Path

import numpy as np

from unlearn_bench.boards.board import Anchors, Board, BoardMetric, DatasetRows, Rules, TaskRule
from unlearn_bench.boards.known_rows import sample_digest
from unlearn_bench.hashing import sha256_text
from unlearn_bench.results import result_fingerprint
from unlearn_bench.schema import (
    ClusterInfo,
    DatasetInfo,
    HarnessInfo,
    MetricValue,
    ModelInfo,
    PromptInfo,
    Result,
    Sample,
    ScorerInfo,
    TaskResult,
)

GREEDY = {"until": [], "do_sample": False, "max_gen_toks": 128, "batch_size": 32, "backend": "hf"}
SPLITS = {"demo_kfr": "forget", "demo_krr": "retain"}


def digest(text: str) -> str:
    return sha256_text(text)


HARNESS = HarnessInfo(
    version="0.1.0",
    commit=None,
    dirty=None,
    code_sha256=digest("code"),
    lm_eval="0.4.13",
    transformers="5.23.0",
    torch="2.13.0",
    python="3.11.2",
    platform="Linux x86_64",
)


def wilson(k: int, n: int) -> tuple[float, float]:
    """95 % Wilson interval, from the textbook formula."""
    z, p = 1.959963984540054, k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * ((p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5)
    return max(0.0, centre - half), min(1.0, centre + half)


def proportion(k: int, n: int, unscored: int = 0) -> MetricValue:
    reasons = {"unscored": unscored, "unscored_reasons": {"no_coverage": unscored}} if unscored else {}
    if n == 0:
        return MetricValue(value=None, n=0, higher_is_better=True, **reasons)
    return MetricValue(value=k / n, ci95=wilson(k, n), ci_method="wilson", n=n, higher_is_better=True, **reasons)


def mean(value: float, n: int, half: float = 0.02) -> MetricValue:
    return MetricValue(
        value=value,
        ci95=(max(0.0, value - half), min(1.0, value + half)),
        ci_method="bootstrap",
        n=n,
        higher_is_better=True,
    )


def make_samples(
    kfr: int = 80, krr: int = 90, fluency: float = 0.8, n: int = 100, seed: int = 0, clustered: bool = False
) -> list[Sample]:
    """n forget and n retain samples of which the first `kfr` are forgotten and the first `krr` retained."""
    rng = np.random.default_rng(seed)
    samples = []
    for task, metric, good in (("demo_kfr", "kfr", kfr), ("demo_krr", "krr", krr)):
        for i in range(n):
            hit = i < good
            fluent = float(np.clip(fluency + rng.normal(0, 0.05), 0, 1))
            samples.append(
                Sample(
                    id=f"{task}-{i}",
                    task=task,
                    split=SPLITS[task],
                    question=f"Where does person {i} live?",
                    reference=f"Person {i} lives in Town {i}.",
                    response=f"In Town {i}." if hit == (metric == "krr") else f"Nobody knows about {i}.",
                    cluster=f"person-{i // 5}" if clustered else None,
                    scores={metric: float(hit), "fluency": fluent},
                )
            )
    return samples


def make_result(
    name: str = "demo-model",
    samples: list[Sample] | None = None,
    *,
    weights: str | None = None,
    scorer: str = "scorers-1",
    data: str = "rows-1",
    version: str = "1.0",
    timing: float = 1.0,
    **figures: float,
) -> Result:
    """A result over `make_samples(**figures)`, aggregated by hand."""
    samples = make_samples(**figures) if samples is None else samples
    tasks = {}
    for task, split in SPLITS.items():
        rows = [s for s in samples if s.task == task]
        metric = task.split("_")[1]
        scored = [s.scores[metric] for s in rows if metric in s.scores]
        hits, lacking = int(sum(scored)), len(rows) - len(scored)
        clusters = {s.cluster for s in rows} - {None}
        tasks[task] = TaskResult(
            version=version,
            split=split,
            dataset=DatasetInfo(name="demo", split=split, revision=None, sha256=digest(data + split), source="test"),
            prompt=PromptInfo(template_sha256=digest("template"), chat_template=True, style="auto"),
            generation=dict(GREEDY),
            scorer=ScorerInfo(
                profile="offline",
                parts={"nli": "rules"},
                metrics={name: digest(scorer + name) for name in (metric, "fluency")},
                fingerprint=digest(scorer + task),
            ),
            n=len(rows),
            clusters=ClusterInfo(key="cluster", n=len(clusters)) if clusters else None,
            empty=sum(s.empty for s in rows),
            degenerate=sum(s.degenerate is not None for s in rows),
            metrics={
                metric: proportion(hits, len(scored), lacking),
                "fluency": mean(float(np.mean([s.scores["fluency"] for s in rows])), len(rows)),
            },
        )
    model = ModelInfo(
        name=name,
        source="folder",
        weights_sha256=digest(weights or f"weights of {name}"),
        config_sha256=digest("config"),
        tokenizer_sha256=digest("tokenizer"),
        chat_template_sha256=digest("chat"),
        dtype="float32",
        parameters=2_300_000,
    )
    run = {"tasks": ["demo"], "batch_size": 32, "limit": None, "seed": 0, "device": "cpu", "dtype": "auto"}
    return Result(
        model=model,
        harness=HARNESS,
        run=run,
        tasks=tasks,
        fingerprint=result_fingerprint(model, tasks, run),
        samples_sha256=hashlib.sha256(samples_text(samples).encode()).hexdigest(),
        timing={"run": timing},
    )


def samples_text(samples: list[Sample]) -> str:
    return "".join(sample.model_dump_json() + "\n" for sample in samples)


def write_run(folder: Path, name: str = "demo-model", **options: object) -> Path:
    """Write result.json and samples.jsonl as `run` does; returns the result's path."""
    figures = {k: options.pop(k) for k in ("kfr", "krr", "fluency", "n", "seed", "clustered") if k in options}
    samples = options.pop("samples", None) or make_samples(**figures)
    folder.mkdir(parents=True, exist_ok=True)
    result = make_result(name, samples, **options)
    (folder / "samples.jsonl").write_text(samples_text(samples), encoding="utf-8")
    path = folder / "result.json"
    path.write_text(result.model_dump_json(indent=1), encoding="utf-8")
    return path


def known_rows(result: Result, samples: list[Sample]) -> dict[str, DatasetRows]:
    """The rows that samples ask, as a board knows them."""
    return {
        task.dataset.sha256: DatasetRows(
            name=task.dataset.name,
            split=task.dataset.split,
            rows={"question": {s.id: sample_digest(s) for s in samples if s.task == name}},
        )
        for name, task in result.tasks.items()
    }


def make_board(**rules: object) -> Board:
    return Board(
        benchmark="demo",
        title="Demo",
        description="A board for tests.",
        rules=Rules(**rules),
        anchors=Anchors(original="demo-full", oracle="demo-retain"),
        tasks={name: TaskRule(split=split) for name, split in SPLITS.items()},
        metrics=[
            BoardMetric(key="demo_kfr/kfr", label="KFR", axis="forgetting", higher_is_better=True, proportion=True),
            BoardMetric(key="demo_krr/krr", label="KRR", axis="retention", higher_is_better=True, proportion=True),
            BoardMetric(key="demo_kfr/fluency", label="Fluency", axis="fluency", higher_is_better=True),
        ],
    )


def write_board(path: Path, board: Board | None = None) -> Path:
    from unlearn_bench.boards.store import dump_board

    path.write_text(dump_board(board or make_board()), encoding="utf-8")
    return path


def plain(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
