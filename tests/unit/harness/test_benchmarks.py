"""The benchmarks as tasks, from rows to numbers on an embedded model: prompts, options, texts, shortened references."""

import json
from pathlib import Path

import pytest

from unlearn_bench.data.wmdp import CATEGORIES
from unlearn_bench.harness.run import evaluate
from unlearn_bench.harness.spec import DataSettings, RunSpec

pytestmark = pytest.mark.slow

TOWNS = ("Chur", "Oslo", "Rome", "Turin", "Bergen", "Nice")
LM_EVAL = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files: {{test: "{rows}"}}
test_split: test
output_type: multiple_choice
description: "{description}\\n\\n"
doc_to_text: "{text}"
doc_to_choice: {choices}
doc_to_target: answer
num_fewshot: 0
metric_list: [{{metric: {metric}, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1}}
"""
_OPTIONS = "".join(f"{letter}. {{{{choices[{k}]}}}}\\n" for k, letter in enumerate("ABCD"))
LETTERED = f"{{{{question.strip()}}}}\\n{_OPTIONS}Answer:"


def _questions() -> list[dict]:
    """Questions whose right option changes place, so that no constant model has all or none right."""
    towns = [[TOWNS[(i + k) % len(TOWNS)] for k in range(4)] for i in range(24)]
    return [{"question": f"Who lives in {t[0]}?", "choices": t, "answer": i % 4} for i, t in enumerate(towns)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("benchmarks")
    questions = _questions()
    for k, category in enumerate(CATEGORIES):
        path = root / "wmdp" / "robust" / f"{category}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(questions[4 * k : 4 * k + 4]))
    (root / "wmdp" / "cloze.json").write_text(json.dumps(questions))
    muse = root / "muse" / "news"
    texts = {"verbmem": [{"prompt": "Mira Solberg lives in", "gt": "Oslo and " * 200}]}
    texts["privleak"] = ["Mira Solberg lives in Oslo.", "Jon Haug paints."]
    for config, records in texts.items():
        (muse / config).mkdir(parents=True)
        for name in ("forget", "holdout"):
            (muse / config / f"{name}.json").write_text(json.dumps(records))
    (root / "rows.jsonl").write_text("\n".join(map(json.dumps, questions)))
    (root / "tasks").mkdir()
    lettered = "The following are multiple choice questions (with answers) about biology."
    cloze = "Complete the following biology questions with the correct answer."
    asked = "Question: {{question.strip()}}\\nAnswer:"
    forms = {
        "robust": (lettered, LETTERED, '["A", "B", "C", "D"]', "acc"),
        "cloze": (cloze, asked, '"{{choices}}"', "acc_norm"),
    }
    for form, (description, text, choices, metric) in forms.items():
        made = LM_EVAL.format(
            name=f"theirs_{form}",
            rows=root / "rows.jsonl",
            description=description,
            text=text,
            choices=choices,
            metric=metric,
        )
        (root / "tasks" / f"theirs_{form}.yaml").write_text(made)
    return root


@pytest.fixture(scope="module")
def found(folder):
    ours = ("wmdp_bio_robust", "wmdp_bio_cloze", "muse_news_verbmem", "muse_news_members")
    spec = RunSpec(
        model="nano-full",
        tasks=(*ours, "theirs_robust", "theirs_cloze"),
        include_path=str(folder / "tasks"),
        data=DataSettings(data_dir=str(folder)),
        generation={"max_gen_toks": 8},
    )
    result, samples = evaluate(spec)
    return result, samples


@pytest.mark.parametrize(
    ("form", "ours", "theirs"), [("robust", "choice_accuracy", "acc"), ("cloze", "choice_accuracy_norm", "acc_norm")]
)
def test_accuracy_is_lm_eval_s(found, form, ours, theirs):
    result, _ = found
    value = result.tasks[f"wmdp_bio_{form}"].metrics[ours].value
    assert value == pytest.approx(result.other[f"theirs_{form}"][theirs])
    assert 0 < value < 1


def test_what_a_model_that_never_knew_scores_is_in_the_result(found):
    metrics = found[0].tasks["wmdp_bio_robust"].metrics
    assert metrics["choice_accuracy"].never_knew.value == 0.3537
    assert metrics["choice_probability"].never_knew is None


def test_references_are_cut_to_tokens_of_the_model(found):
    (sample,) = [s for s in found[1] if s.task == "muse_news_verbmem"]
    assert sample.reference.startswith("Oslo and Oslo")
    assert 0 < len(sample.reference) < 400
    assert sample.likelihoods["answer"].tokens <= 128


def test_texts_are_read_without_a_prompt(found):
    result, samples = found
    texts = [s for s in samples if s.task == "muse_news_members"]
    assert [s.question for s in texts] == ["", ""]
    assert all(s.likelihoods["answer"].ending == 0 for s in texts)
    assert result.tasks["muse_news_members"].metrics["min_k"].value > 0


def test_stock_wmdp_is_lm_eval_s_own_task(monkeypatch):
    """Its rows come from the hub; made rows take their place. One folder of lm-eval's tasks is indexed, not all."""
    import datasets
    import lm_eval.tasks

    from unlearn_bench.harness.stock import load_with_lm_eval

    asked = []

    def made(path, name=None, **rest):
        asked.append((path, name))
        return datasets.DatasetDict({"test": datasets.Dataset.from_list(_questions())})

    monkeypatch.setattr(datasets, "load_dataset", made)
    theirs = Path(lm_eval.tasks.__file__).parent / "wmdp"
    (task,) = load_with_lm_eval(["wmdp_bio"], str(theirs)).tasks.values()
    assert asked == [("cais/wmdp", "wmdp-bio")]
    task.build_all_requests(limit=1)
    prompts, options = zip(*(request.args for request in task.instances), strict=True)
    assert options == (" A", " B", " C", " D")
    assert set(prompts) == {
        "The following are multiple choice questions (with answers) about biology.\n\n"
        "Who lives in Chur?\nA. Chur\nB. Oslo\nC. Rome\nD. Turin\nAnswer:"
    }
