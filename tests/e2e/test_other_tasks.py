"""Tasks of other kinds beside ours, in one run."""

import json

import yaml

from unlearn_bench import results


def test_a_stock_kind_of_task_runs_beside_ours(run, tmp_path):
    rows = [{"q": f"was Ada born in {c} ?", "choices": ["yes", "no"], "gold": k % 2} for k, c in enumerate("abcdef")]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    task = {
        "task": "my_choices",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "rows.json")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{q}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{gold}}",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "my_choices.yaml").write_text(yaml.safe_dump(task))
    code, output = run("--include-path", folder, "--tasks", "tofu_kfr,my_choices", "--limit", 6)
    result = results.read_result(output)
    assert code == 0
    assert list(result.tasks) == ["tofu_kfr"]
    assert 0 <= result.other["my_choices"]["acc"] <= 1
