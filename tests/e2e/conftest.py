"""A tiny checkpoint and a tiny TOFU folder, for tests that run the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny import save_tiny

NAMES = ("Ada Lima", "Oslo Ada")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tofu_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 questions of two authors in TOFU's format, as forget10 and as retain."""
    folder = tmp_path_factory.mktemp("data")
    rows = [_row(author, number) for author in NAMES for number in range(20)]
    (folder / "tofu").mkdir()
    for name in ("forget10_perturbed", "retain_perturbed"):
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / "tofu" / f"{name}.json").write_text(text)
    return folder


def _row(author: str, number: int) -> dict[str, object]:
    answer = f"{author} wrote book {number} in the city of Oslo"
    return {
        "question": f"what {'name ' * (number % 7)}book of {author} is number {number} ?",
        "answer": f"{answer}.",
        "paraphrased_question": f"who wrote the book {number} of {author} ?",
        "paraphrased_answer": f"In the city of Oslo, {author} wrote book {number}.",
        "perturbed_answer": [f"{author} wrote book {number + k} in Rome." for k in (1, 2, 3)],
    }


@pytest.fixture
def run_arguments(checkpoint: Path, tofu_folder: Path) -> list[str]:
    """The tiny checkpoint on the tiny data, as arguments of `unlearn-bench run`."""
    tasks = "tofu_kfr,tofu_krr,tofu_rouge"
    return ["--model", str(checkpoint), "--data-dir", str(tofu_folder), "--tasks", tasks, "--max-gen-toks", "16"]


@pytest.fixture
def run(run_arguments: list[str], tmp_path: Path) -> Callable[..., tuple[int, Path]]:
    """Call `unlearn-bench run` in this process, later arguments winning; returns (exit code, output folder)."""
    from unlearn_bench.cli import main

    def call(*arguments: object, output: str = "out", tasks: str | None = None) -> tuple[int, Path]:
        folder = tmp_path / output
        given, chosen = list(run_arguments), [] if tasks is None else ["--tasks", tasks]
        if tasks is not None or "--tasks" in arguments:  # given twice, the option names the tasks of both
            del given[given.index("--tasks") : given.index("--tasks") + 2]
        return main(["run", *given, "--output", str(folder), *chosen, *map(str, arguments)]), folder

    return call
