"""Stock lm-eval tasks named in a run give what `lm_eval run --model hf` gives: examples, template, errors, groups."""

import json

import lm_eval
import pytest
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from tests.tiny import tiny_model, tiny_tokenizer
from unlearn_bench.harness.hf_model import UnlearnLM
from unlearn_bench.harness.stock import load_with_lm_eval, run_stock
from unlearn_bench.tasks_index import expand_names

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_environment")]

PLACES = ("Oslo", "book", "city", "name")
CHOICE = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files: {{test: "{rows}"}}
test_split: test
fewshot_split: test
num_fewshot: 3
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: answer
doc_to_choice: choices
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 2.0}}
"""
WRITE = """
task: toy_write
dataset_path: json
dataset_kwargs:
  data_files: {{test: "{rows}"}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "was"
generation_kwargs: {{until: ["?"], max_gen_toks: 6, do_sample: false}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""
GROUP = """
group: toy
task: [toy_a, toy_b]
aggregate_metric_list: [{metric: acc, aggregation: mean, weight_by_size: true}]
"""


@pytest.fixture(scope="module")
def include(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("tasks")
    rows = [
        {"question": f"who wrote {p} {'was ' * k}?", "choices": PLACES, "answer": k % 4}
        for p in PLACES
        for k in range(6)
    ]
    (folder / "rows.json").write_text("\n".join(map(json.dumps, rows)))
    for name in ("toy_a", "toy_b"):
        (folder / f"{name}.yaml").write_text(CHOICE.format(name=name, rows=folder / "rows.json"))
    (folder / "toy_write.yaml").write_text(WRITE.format(rows=folder / "rows.json"))
    (folder / "toy.yaml").write_text(GROUP)
    return str(folder)


def _ours(include, names, limit=None):
    stock = load_with_lm_eval(expand_names(names, include), include, required=names)
    model = tiny_model()
    model.generation_config.repetition_penalty = 3.0
    lm = UnlearnLM(model, tiny_tokenizer(), batch_size=4)
    lm.as_stock = True
    return run_stock(lm, stock, limit=limit, generation={}, chat=False)


def _stock(include, names, limit=None):
    model = tiny_model()
    model.generation_config.repetition_penalty = 3.0
    lm = HFLM(pretrained=model, tokenizer=tiny_tokenizer(), batch_size=4, softmax_dtype="float32")
    manager = TaskManager(include_path=include, include_defaults=False)
    return lm_eval.simple_evaluate(model=lm, tasks=names, task_manager=manager, limit=limit)["results"]


@pytest.mark.parametrize("limit", [None, 5, 0.5])
def test_values_errors_and_groups_are_those_of_lm_eval(include, limit):
    found, expected = _ours(include, ["toy", "toy_write"], limit), _stock(include, ["toy", "toy_write"], limit)
    assert set(found.values) == set(expected) == {"toy", "toy_a", "toy_b", "toy_write"}
    for task, values in found.values.items():
        numbers = {k.removesuffix(",none"): v for k, v in expected[task].items() if isinstance(v, float)}
        assert values == pytest.approx(numbers), task
    assert found.values["toy_a"]["acc_stderr"] > 0
    assert found.n["toy_a"] == (24 if limit is None else 5 if limit == 5 else 12)
    assert found.n["toy"] == 2 * found.n["toy_a"]


def test_how_a_task_was_asked_is_recorded(include):
    found = _ours(include, ["toy_a"], 4)
    asked = {"version": "2.0", "num_fewshot": 3, "chat_template": False, "fewshot_seed": 1234}
    assert found.settings == {"toy_a": asked}
    assert found.better == {"toy_a": {"acc": True}}


def test_a_task_named_alone_and_in_its_group_is_asked_once(include):
    assert set(_ours(include, ["toy_a", "toy", "toy_*"], 4).values) == {"toy", "toy_a", "toy_b", "toy_write"}
