"""Which model judges fluency where none is named, and how a real one agrees with a published run."""

import json
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from unlearn_bench.errors import UserError
from unlearn_bench.evidence import parts, profiles
from unlearn_bench.harness import score
from unlearn_bench.harness.plan import make_plan
from unlearn_bench.harness.spec import DataSettings
from unlearn_bench.models import packaged
from unlearn_bench.models.packaged import SMOLLM2
from unlearn_bench.models.reference_lm import ReferenceLM
from unlearn_bench.schema import Response


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "is_installed", lambda name: name == SMOLLM2)


def _judge(dataset: str | None, **settings: object) -> str:
    return profiles.parts_from(settings, dataset).reference_lm.name


def test_without_the_package_it_is_nano_base() -> None:
    assert {_judge(dataset) for dataset in ("nano", "tofu", "answers.jsonl", None)} == {"nano-base"}


def test_with_the_package_nano_base_judges_nanos_text_alone(installed: None) -> None:
    assert [_judge(dataset) for dataset in ("tofu", "answers.jsonl")] == [SMOLLM2, SMOLLM2]
    assert [_judge(dataset) for dataset in ("nano", None)] == ["nano-base", "nano-base"]


def test_what_is_named_is_taken(installed: None) -> None:
    assert _judge("tofu", ppl_model="nano-base") == "nano-base"
    assert _judge("nano", ppl_model=SMOLLM2) == SMOLLM2
    assert _judge("tofu", ppl_model="given") == "given"
    with pytest.raises(UserError, match="none is named"):
        profiles.require(profiles.parts_from({"profile": "standard", "nli": "rules"}, "tofu"), ["perplexity"])


def test_the_default_is_never_another_where_the_package_is_broken(
    installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged.PackagedModel, "digest", lambda self, path: "0" * 64)
    monkeypatch.setattr(packaged, "_distribution", lambda name: _Broken())
    parts.make_parts.cache_clear()
    with pytest.raises(UserError, match="holds another"):
        profiles.require(profiles.parts_from({}, "tofu"), ["perplexity"])


class _Broken:
    version = "0.1.2"

    def locate_file(self, path: str) -> Path:
        return Path(path)


@pytest.mark.parametrize(
    ("names", "judges"),
    [
        (["nano_ls"], ["nano-base"]),
        (["tofu_ls"], [SMOLLM2]),
        (["nano_kfr", "ls"], ["nano-base", "nano-base"]),
        (["ls"], ["nano-base"]),
        (["tofu_ls", "nano_ls"], [SMOLLM2, "nano-base"]),
        (["tofu_kfr", "nano_kfr", "ls"], [SMOLLM2, SMOLLM2, SMOLLM2]),
    ],
    ids="+".join,
)
def test_each_task_is_judged_by_whose_text_it_is(
    installed: None, shared_data: Path, names: list[str], judges: list[str]
) -> None:
    plan = make_plan(names, data=DataSettings(data_dir=str(shared_data)))
    assert [plan.parts(name).reference_lm.name for name in names] == judges


def test_files_are_judged_by_their_tasks() -> None:
    def whose(*tasks: str) -> str:
        row = {"id": "1", "split": "forget", "question": "?", "reference": "r", "response": "a"}
        return score._judged_dataset([Response(task=task, **row) for task in tasks])

    assert [whose("nano_kfr"), whose("nano_kfr", "ls"), whose("tofu_kfr", "ls")] == ["nano", "nano", "tofu"]
    assert whose("my_answers") != "nano"
    assert whose("nano_kfr", "my_answers") != "nano"


@pytest.mark.benchmark  # a figure over 110 answers; that the perplexity is right is shown in test_reference_lm
def test_the_packaged_judge_agrees_with_a_published_run(shared_data: Path, smollm2: str) -> None:
    """Perplexities of Llama-2-7B-chat, published with the ReLearn run on KnowUnDo; answers to the forget questions."""
    run = json.loads((shared_data / "logs" / "relearn_knowundo_llama2_items.json").read_text())
    published = [item["ppl"] for item in run["as_info_F"]]
    pairs = [(item["query"], item["pred"]) for item in run["ent_info_f"]]
    assert [response for _, response in pairs] == [item["response"] for item in run["as_info_F"]]
    assert spearmanr(ReferenceLM(smollm2).perplexity(pairs), published).statistic == pytest.approx(0.845, abs=0.02)
    assert spearmanr(ReferenceLM("nano-base").perplexity(pairs), published).statistic < 0.1


def test_a_file_that_judges_is_recorded_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "judge.gguf"
    file.write_bytes(b"GGUF")
    assert _judge("tofu", ppl_model=str(file)) == "judge.gguf"
