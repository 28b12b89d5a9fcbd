"""What is asked, what is shared, what a task file may say, and how the judged model decodes."""

import re
import shutil

import pytest
import yaml
from lm_eval.api.instance import Instance

from tests.tiny import tiny_model, tiny_tokenizer
from unlearn_bench.errors import UserError
from unlearn_bench.harness.hf_model import UnlearnLM
from unlearn_bench.harness.plan import make_plan
from unlearn_bench.harness.spec import DataSettings, Scoring
from unlearn_bench.harness.stock import load_with_lm_eval, validate_task
from unlearn_bench.tasks_index import describe_tasks, read_tasks, tasks_dir

pytestmark = pytest.mark.slow


def test_paraphrase_tasks_ask_the_same_facts_in_other_words():
    sets = make_plan(["nano_forget", "nano_forget_paraphrase"]).question_sets
    plain, other = (sets[name].rows for name in ("nano_forget", "nano_forget_paraphrase"))
    assert [row.answer for row in plain] == [row.answer for row in other]
    assert not {row.question for row in plain} & {row.question for row in other}


def test_under_lm_eval_the_prompt_is_the_chat_template_or_the_chosen_style():
    task = load_with_lm_eval(["nano_kfr"]).tasks["nano_kfr"]
    doc = task.eval_docs[0]
    chat = task.fewshot_context(doc, 0, chat_template=lambda messages: repr(messages))
    assert chat == repr([{"role": "user", "content": doc["question"]}])
    assert task.fewshot_context(doc, 0) == f"Question: {doc['question']}\nAnswer:"
    tofu = load_with_lm_eval(["nano_kfr"], metadata={"prompt": "tofu"}).tasks["nano_kfr"]
    assert tofu.fewshot_context(doc, 0, chat_template=repr) == f"[INST] {doc['question']} [/INST]"


def test_aliases_of_one_question_set_share_its_answers():
    plan = make_plan(["nano_kfr", "nano_ls", "nano_rouge", "ls"], limit=6)
    assert {name: len(asked.rows) for name, asked in plan.question_sets.items()} == {"nano_forget": 6}
    assert set(plan.samples_of.values()) == {("nano_forget",)}
    scorers = plan.question_sets["nano_forget"].scorers
    assert len(scorers) == len(set(scorers)) == 9


def test_a_question_set_has_the_scorers_of_the_tasks_that_were_named_and_no_others():
    sets = make_plan(["nano_kfr", "nano_retain"], limit=1).question_sets
    assert sets["nano_forget"].scorers == ("kfr", "kfr_fluent", "fluency")
    assert {"krr", "linguistic_score", "rouge"} <= set(sets["nano_retain"].scorers)


def test_a_group_holds_the_question_sets():
    plan = make_plan(["nano"], limit=1)
    roles = ["nano_forget", "nano_forget_paraphrase", "nano_retain", "nano_neighbour", "nano_world", "nano_holdout"]
    assert list(plan.question_sets) == roles
    assert set(plan.tasks) == set(roles)
    assert list(make_plan(["nano_*"], limit=1).question_sets) == roles


def test_limits_are_a_number_or_a_share():
    whole = len(make_plan(["nano_world"]).question_sets["nano_world"].rows)
    assert len(make_plan(["nano_world"], limit=0.1).question_sets["nano_world"].rows) == -(-whole // 10)
    assert len(make_plan(["nano_world"], limit=10**6).question_sets["nano_world"].rows) == whole


def test_tasks_that_contradict_each_other_are_refused(tmp_path):
    include = f"include: {tasks_dir() / 'nano' / 'forget.yaml'}\n"
    text = include + "task: mine\nsamples_of: nano_forget\ngeneration_kwargs: {until: [], max_gen_toks: 5}\n"
    (tmp_path / "mine.yaml").write_text(text)
    assert make_plan(["mine"], include_path=str(tmp_path), limit=1).samples_of == {"mine": ("nano_forget",)}
    with pytest.raises(UserError, match="mine and nano_kfr ask or score nano_forget with other settings"):
        make_plan(["nano_kfr", "mine"], include_path=str(tmp_path), limit=1)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("filter_list: []", "filter_list is not read"),
        ("output_type: multiple_choice", "output_type multiple_choice"),
        ("probes: [guess]", "unknown probe 'guess'"),
        ("metadata: {version: 1.0, dataset: nano, scorers: [kfr]}", "metadata has no split"),
        ("metadata: {version: 1.0, dataset: nano, split: fluency, question: paraphrased_question, scorers: [krr]}",
         "rows have no paraphrased_question"),
    ],
)  # fmt: skip
def test_what_a_task_file_cannot_say_is_refused(tmp_path, line, words):
    (tmp_path / "mine.yaml").write_text(f"include: {tasks_dir() / 'nano' / 'forget.yaml'}\ntask: mine\n{line}\n")
    with pytest.raises(UserError, match=words):
        make_plan(["mine"], include_path=str(tmp_path))


def test_metric_lists_follow_from_the_scorers():
    task = load_with_lm_eval(["nano_kfr"]).tasks["nano_kfr"]
    assert sorted(task.aggregation()) == ["fluency", "kfr", "kfr_fluent"]
    assert task.higher_is_better()["kfr"] is True


def test_settings_of_a_task_file_are_overridden():
    task = load_with_lm_eval(["nano_kfr"], metadata={"kfr_rule": "paper", "data_dir": None}).tasks["nano_kfr"]
    assert task.definition.scoring.options == {"kfr_rule": "paper"}
    scoring = Scoring.split({"nli": "given", "kfr_rule": "table"})
    plan = make_plan(["nano_kfr"], scoring=scoring, generation={"max_gen_toks": 3}, limit=1)
    asked = plan.question_sets["nano_forget"].task
    assert (asked.scoring.parts, asked.scoring.options) == ({"nli": "given"}, {"kfr_rule": "table"})
    assert asked.generation["max_gen_toks"] == 3
    assert asked.generation["until"] == []


# Their rows are in no published copy at hand; made ones are in tests/unit/data.
NOT_SHARED = ("knowundo_copyright", "muse_books", "muse_news_holdout", "muse_news_members", "muse_news_verbmem")
NOT_SHARED += ("tofu_holdout", "wmdp_bio_", "lume_mia", "rtofu")


@pytest.mark.slow
def test_every_task_of_ours_is_described_and_loads_where_its_data_is(shared_data):
    names = [name for name, line in describe_tasks() if not line.startswith("group")]
    published = {f"{b}_{k}" for b in ("nano", "tofu", "knowundo") for k in ("kfr", "krr", "ls", "rouge", "forget")}
    assert published <= set(names)
    names = [name for name in names if not name.startswith(NOT_SHARED)]
    data = DataSettings(data_dir=str(shared_data))
    assert {name: validate_task(name, data) for name in names} == dict.fromkeys(names)


def test_validate_says_what_is_wrong():
    assert "--data-dir" in validate_task("tofu_kfr", DataSettings())


@pytest.mark.parametrize("path", sorted(tasks_dir().rglob("*.yaml")), ids=lambda p: p.stem)
def test_task_files_are_named_as_their_task(path):
    config = yaml.safe_load(path.read_text().replace("!function ", ""))
    name = config.get("group", config.get("task"))
    of_role = path.parent.parent == tasks_dir() and "group" not in config
    assert name == (f"{path.parent.name}_{path.stem}" if of_role else path.stem)


@pytest.mark.parametrize("config", [c for c in read_tasks() if "metrics" in c], ids=lambda c: c["task"])
def test_aliases_choose_metrics_of_their_question_set(config):
    (whole,) = [c for c in read_tasks() if c["task"] == config["samples_of"]]
    assert set(config["metrics"]) <= set(whole["metadata"]["scorers"])
    same = ("dataset", "split", "question")
    assert [config["metadata"].get(k) for k in same] == [whole["metadata"].get(k) for k in same]


def test_forget_split_chooses_tofus_forget_set(shared_data):
    plan = make_plan(["tofu_kfr", "tofu_krr"], data=DataSettings(str(shared_data), forget_split="forget01"))
    assert plan.dataset_info("tofu_kfr").split == "forget01"
    assert plan.dataset_info("tofu_krr").split == "retain"
    with pytest.raises(UserError, match="forget01: none of the tasks asks a dataset with that forget set"):
        make_plan(["nano_kfr"], data=DataSettings(forget_split="forget01"))


def test_unknown_name_gets_a_suggestion():
    with pytest.raises(UserError, match="did you mean nano_krr or nano_kfr"):
        make_plan(["nano_kfrr"])


@pytest.fixture(scope="module")
def lm() -> UnlearnLM:
    model = tiny_model()
    model.generation_config.repetition_penalty = 5.0
    model.generation_config.max_new_tokens = 2
    return UnlearnLM(model, tiny_tokenizer(), batch_size=4)


def _instances(prompts: list[str], **settings: object) -> list[Instance]:
    return [
        Instance("generate_until", {}, (p, {"until": [], "max_gen_toks": 8, **settings}), i)
        for i, p in enumerate(prompts)
    ]


def test_generation_config_of_the_checkpoint_does_not_leak(lm):
    prompts = ["who wrote the book ?", "what is the name of the city", "was Ada born in Oslo ?"]
    ours = lm.generate_until(_instances(prompts))
    stock = super(UnlearnLM, lm).generate_until(_instances(prompts, repetition_penalty=1.0), disable_tqdm=True)
    assert [re.sub(r"\s*<\|\w+\|>", "", text) for text in ours] == stock  # stock drops the names of turns
    assert any(len(answer.split()) > 2 for answer in ours), "max_new_tokens = 2 would have cut them"


def test_stop_strings_go_to_lm_evals_own_generation(lm, monkeypatch):
    from unlearn_bench.harness import hf_model as lm_model

    monkeypatch.setattr(lm_model, "generate_greedy", lambda *_, **__: pytest.fail("not plain"))
    answers = lm.generate_until([Instance("generate_until", {}, ("who ?", {"until": ["was"], "max_gen_toks": 8}), 0)])
    assert "was" not in answers[0]


def test_each_request_has_its_own_longest_answer(lm):
    prompts = ["who wrote the book ?", "what is the name of the city", "was Ada born in Oslo ?", "who ?"]
    limits = [3, 9, 1, 20]
    requests = [_instances([p], max_gen_toks=n)[0] for p, n in zip(prompts, limits, strict=True)]
    alone = [lm.generate_until([request])[0] for request in requests]
    assert lm.generate_until(requests) == alone
    assert [len(lm.tok_encode(answer)) for answer in alone] != [20] * 4
    assert all(len(answer.split()) <= limit for answer, limit in zip(alone, limits, strict=True))


SAMPLED = {"do_sample": True, "temperature": 1.5, "top_p": 0.9, "top_k": 20, "max_gen_toks": 12}


def _sampled(lm, order, batch, seeds=None):
    prompts = [f"who {'was ' * n}?" for n in range(6)]
    lm._rows = batch
    requests = [
        Instance("generate_until", {}, (prompts[i], {"until": [], **SAMPLED, "seed": 70 + i}), 0) for i in order
    ]
    return dict(zip(order, lm.generate_until(requests), strict=True))


def test_a_sampled_answer_depends_on_its_own_seed_only(lm):
    expected = _sampled(lm, range(6), 4)
    assert _sampled(lm, [5, 0, 3, 1, 4, 2], 2) == expected
    assert {i: _sampled(lm, [i], 1)[i] for i in range(6)} == expected
    assert len(set(expected.values())) > 1


def test_a_long_stock_prompt_keeps_its_end_and_is_counted(lm, monkeypatch):
    monkeypatch.setattr(lm, "as_stock", True)
    end = " was Ada born in Oslo ?"
    prompts = ("who " * 400 + end, "what " * 500 + "who " * 400 + end)
    before = lm.cut_prompts
    settings = {"until": [], **SAMPLED, "seed": 5}
    first, second = (lm.generate_until([Instance("generate_until", {}, (p, settings), 0)]) for p in prompts)
    assert first == second, "both end in the same tokens"
    assert lm.cut_prompts == before + 2


def test_a_sampled_answer_ends_before_its_stop_string(lm):
    request = Instance("generate_until", {}, ("who ?", {"until": ["was"], **SAMPLED, "max_gen_toks": 60, "seed": 3}), 0)
    free = Instance("generate_until", {}, ("who ?", {"until": [], **SAMPLED, "max_gen_toks": 60, "seed": 3}), 0)
    assert lm.generate_until([request])[0] == lm.generate_until([free])[0].split("was")[0]


def test_stock_requests_see_the_checkpoints_own_generation_config():
    model = tiny_model()
    model.generation_config.repetition_penalty = 5.0
    lm = UnlearnLM(model, tiny_tokenizer(), batch_size=4)
    requests = _instances(["who wrote the book ?"], max_gen_toks=20)
    ours = lm.generate_until(requests)
    lm.as_stock = True
    stock = lm.generate_until(requests)
    lm.as_stock = False
    assert stock != ours
    assert lm.generate_until(requests) == ours


def test_auto_batch_size_halves_until_it_fits(lm, monkeypatch):
    import torch

    from unlearn_bench.harness import hf_model as lm_model

    real, sizes = lm_model.generate_greedy, []

    def small_memory(model, prompts, *, batch_size, **settings):
        sizes.append(batch_size)
        if batch_size > 16:
            raise torch.OutOfMemoryError("no")
        return real(model, prompts, batch_size=batch_size, **settings)

    monkeypatch.setattr(lm_model, "generate_greedy", small_memory)
    monkeypatch.setattr(lm, "batch_size_per_gpu", "auto")
    monkeypatch.setattr(lm, "_rows", 64)
    lm.generate_until(_instances(["who ?"]))
    assert sizes == [64, 32, 16]
    monkeypatch.setattr(lm, "batch_size_per_gpu", 64)
    monkeypatch.setattr(lm, "_rows", 64)
    with pytest.raises(UserError, match="--batch-size 64 does not fit"):
        lm.generate_until(_instances(["who ?"]))


def test_empty_prompt_is_said(lm):
    with pytest.raises(UserError, match="a prompt has no tokens"):
        lm.generate_until(_instances([""]))


def test_rows_that_are_optional_are_left_out_with_a_note_unless_their_task_is_named(shared_data, tmp_path):
    shutil.copytree(shared_data / "tofu", tmp_path / "tofu", ignore=shutil.ignore_patterns("holdout*"))
    data = DataSettings(str(tmp_path))
    for names in (["tofu_forget*", "tofu_hold*"], ["tofu"]):
        (note,) = make_plan(names, data=data, limit=1).notes
        assert note.startswith("tofu_holdout was left out: ")
    with pytest.raises(UserError, match="holdout10"):
        make_plan(["tofu_holdout"], data=data)
