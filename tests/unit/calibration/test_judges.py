"""Labels measure a language model as judge: its share is corrected by them, in place of the planted cases."""

import json
import random
from pathlib import Path

import pytest

from tests.fake_judge import GRADES, FakeJudge, planted
from unlearn_bench.calibration.calibrate import calibrate
from unlearn_bench.calibration.correct import NO_SUCH_LABELS, NOT_JUDGED, Given, correct
from unlearn_bench.calibration.document import answer_key
from unlearn_bench.calibration.sheet import draw
from unlearn_bench.cli import main
from unlearn_bench.judges import asked
from unlearn_bench.judges.verdicts import Identity, Line, key_of
from unlearn_bench.results import read_result, read_samples
from unlearn_bench.schema import Result, Sample

ERRORS = {"yes": 0.3, "no": 0.1}
FORGOTTEN = 0.4


def kept(judge: FakeJudge, rows: list[dict[str, str]]) -> str:
    """What the judge says of the answers, as a file of kept replies; of the planted cases it knows them all."""
    who = Identity(model="fake", endpoint="local", temperature=0.0, json_mode="json_object", prompts=asked.version())
    lines = []
    for row in rows:
        verdict = judge.verdict("forget", row["question"], row["response"])
        said = json.dumps({"verdict": verdict, "grade": GRADES[verdict]})
        key = key_of(who, asked.messages("forget", row["question"], row["reference"], row["response"]))
        lines.append(Line(key=key, judge=who, asked="forget", said=said, tokens=(7, 3)).model_dump_json() + "\n")
    return planted(kinds=("forget",)) + "".join(lines)


def judged(
    folder: Path, name: str, n: int, *options: str, metrics: str = "judge_forget"
) -> tuple[Result, list[Sample], dict[str, str]]:
    """Answers of a model, their verdicts by a judge that is wrong at known rates, and what is true of them."""
    chance = random.Random(name)
    rows = [
        {
            "id": str(i),
            "question": f"Where does Una Reck the {i}th of {name} live?",
            "reference": f"In Tolbury {i}.",
            "response": f"Answer {i} of {name}.",
        }
        for i in range(n)
    ]
    truth = {row["id"]: "no" if chance.random() < FORGOTTEN else "yes" for row in rows}
    judge = FakeJudge({(row["question"], row["response"]): truth[row["id"]] for row in rows}, ERRORS)
    answers, verdicts = folder / f"{name}.jsonl", folder / f"{name}.verdicts.jsonl"
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    verdicts.write_text(kept(judge, rows), encoding="utf-8")
    command = ["score", str(answers), "--role", "forget", "--metrics", metrics, "--verdicts", str(verdicts)]
    assert main([*command, "--judges", "forget", "--output", str(folder / name), "--quiet", *options]) == 0
    return read_result(folder / name), list(read_samples(folder / name)), truth


def labels_of(samples: list[Sample], truth: dict[str, str]) -> dict[str, str]:
    return {answer_key(sample): truth[sample.id] for sample in samples}


def share(result: Result, metric: str = "judge_forgotten"):
    (task,) = result.tasks.values()
    return task.metrics[metric]


def test_labels_correct_a_judges_share_here_and_elsewhere(tmp_path: Path) -> None:
    first, samples, truth = judged(tmp_path, "first", 300)
    raw = share(first)
    assert raw.corrected is not None
    assert "planted cases" in raw.corrected.basis
    true = sum(label == "no" for label in truth.values()) / len(truth)
    assert not raw.corrected.ci95[0] <= true <= raw.corrected.ci95[1]  # which it knew better than real answers

    labels = labels_of(draw(samples, 120), truth)
    calibration = calibrate(labels, [(first, samples)], reader="me")
    Given(calibration=calibration).correct((first, samples))
    own = share(first)
    assert (own.value, own.corrected.ci_method, own.corrected.labels) == (raw.value, "post_stratified", 120)
    assert own.corrected.ci95[0] <= true <= own.corrected.ci95[1]

    error = calibration.metrics["judge_forgotten"].confusion()
    assert error.sensitivity == pytest.approx(1 - ERRORS["no"], abs=0.08)
    assert error.specificity == pytest.approx(1 - ERRORS["yes"], abs=0.12)
    other, rows, known = judged(tmp_path, "other", 300)
    Given(calibration=calibration).correct((other, rows))
    found, true = share(other).corrected, sum(label == "no" for label in known.values()) / len(known)
    assert found.ci_method == "lang_reiczigel"
    assert found.ci95[0] <= true <= found.ci95[1]
    assert "read by me" in found.basis


def test_planted_cases_stand_where_labels_measured_another_metric(tmp_path: Path) -> None:
    result, samples, truth = judged(tmp_path, "both", 60, metrics="kfr,judge_forget")
    planted_cases = share(result).corrected
    calibration = calibrate(labels_of(samples, truth), [(result, samples)], reader="me")
    only_kfr = calibration.model_copy(update={"metrics": {"kfr": calibration.metrics["kfr"]}})
    assert sorted(filter(None, correct(result, samples, lambda *_: only_kfr))) == [NOT_JUDGED]
    assert share(result).corrected == planted_cases
    assert share(result, "kfr").corrected.ci_method == "post_stratified"


def test_kfr_fluent_says_why_it_stands_uncorrected_beside_kfr(tmp_path: Path) -> None:
    result, samples, truth = judged(tmp_path, "fluent", 60, metrics="kfr,kfr_fluent")
    Given(labels=labels_of(samples, truth), reader="me.csv").correct((result, samples))
    assert share(result, "kfr").corrected is not None
    assert share(result, "kfr_fluent").corrected is None
    assert share(result, "kfr_fluent").not_corrected == NO_SUCH_LABELS["kfr_fluent"]
