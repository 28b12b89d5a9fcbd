"""The bridge to lm-eval: what is asked, what is shared, what `ls` scores, and what a task file may say."""

import re

import pytest
import yaml
from lm_eval.api.instance import Instance

from tests.tiny import tiny_model, tiny_tokenizer
from unlearn_bench.errors import UserError
from unlearn_bench.harness.hf_model import UnlearnLM
from unlearn_bench.harness.task_loading import load_tasks, validate_task
from unlearn_bench.tasks_index import describe_tasks, tasks_dir

pytestmark = pytest.mark.slow


def _questions(task, **limits: int) -> list[str]:
    return [doc["question"] for _, doc in task.doc_iterator(**limits)]


def test_paraphrase_tasks_ask_the_same_facts_in_other_words():
    tasks, _ = load_tasks(["nano_kfr", "nano_kfr_paraphrase"], {})
    plain, other = tasks["nano_kfr"].eval_docs, tasks["nano_kfr_paraphrase"].eval_docs
    assert [d["answer"] for d in plain] == [d["answer"] for d in other]
    assert not set(plain["question"]) & set(other["question"])


def test_prompt_is_the_chat_template_or_the_chosen_style():
    task = load_tasks(["nano_kfr"], {})[0]["nano_kfr"]
    doc = task.eval_docs[0]
    chat = task.fewshot_context(doc, 0, chat_template=lambda messages: repr(messages))
    assert chat == repr([{"role": "user", "content": doc["question"]}])
    assert task.fewshot_context(doc, 0) == f"Question: {doc['question']}\nAnswer:"
    tofu = load_tasks(["nano_kfr"], {"prompt": "tofu"})[0]["nano_kfr"]
    assert tofu.fewshot_context(doc, 0, chat_template=repr) == f"[INST] {doc['question']} [/INST]"


def test_ls_alone_asks_the_fluency_prompts():
    task = load_tasks(["ls"], {})[0]["ls"]
    assert len(_questions(task)) >= 30
    assert task.dataset_info().split == "fluency"


def test_ls_of_one_evaluation_does_not_see_the_tasks_of_the_last():
    old, _ = load_tasks(["nano_kfr"], {})
    old["nano_kfr"].build_all_requests(limit=2)
    new, _ = load_tasks(["ls", "nano_krr"], {})
    assert new["ls"].dataset_info().split == "nano_krr"


def _requests(tasks) -> int:
    for task in tasks.values():
        task.build_all_requests(limit=6)
    return sum(len(task.instances) for task in tasks.values())


def test_tasks_that_share_prompts_and_settings_share_requests():
    tasks, _ = load_tasks(["nano_kfr", "nano_ls", "nano_rouge", "ls"], {})
    assert _requests(tasks) == 6
    assert _requests(tasks) == 6, "a second evaluation of the same tasks must ask again"


def test_other_settings_are_other_requests():
    tasks, _ = load_tasks(["nano_kfr", "nano_ls"], {})
    tasks["nano_ls"].set_config("generation_kwargs", {"max_gen_toks": 5}, update=True)
    assert _requests(tasks) == 12


def test_sampled_answers_are_not_shared_between_documents():
    tasks, _ = load_tasks(["nano_kfr", "nano_ls"], {})
    for task in tasks.values():
        task.set_config("generation_kwargs", {"do_sample": True, "temperature": 0.7}, update=True)
    assert _requests(tasks) == 6  # the same document in two tasks is one sample of the model, as with greedy decoding


def test_metric_lists_follow_from_the_scorers():
    task = load_tasks(["nano_kfr"], {})[0]["nano_kfr"]
    assert sorted(task.aggregation()) == ["fluency", "kfr", "kfr_fluent"]
    assert task.higher_is_better()["kfr"] is True


def test_scorer_options_come_from_metadata():
    task = load_tasks(["nano_kfr"], {"kfr_rule": "paper", "data_dir": None})[0]["nano_kfr"]
    assert task.options() == {"kfr_rule": "paper"}


@pytest.mark.slow
def test_every_task_of_ours_is_described_and_loads_where_its_data_is(shared_data):
    names = [name for name, line in describe_tasks() if not line.startswith("group")]
    assert {f"{b}_{k}" for b in ("nano", "tofu", "knowundo") for k in ("kfr", "krr", "ls", "rouge")} <= set(names)
    assert {name: validate_task(name, {"data_dir": str(shared_data)}) for name in names} == dict.fromkeys(names)


def test_validate_says_what_is_wrong():
    assert "--data-dir" in validate_task("tofu_kfr", {})


@pytest.mark.parametrize("path", sorted(tasks_dir().rglob("*.yaml")), ids=lambda p: p.stem)
def test_task_files_are_named_as_their_task(path):
    text = path.read_text().replace("!function ", "")
    config = yaml.safe_load(text)
    assert path.stem == config.get("group", config.get("task"))


def test_forget_split_chooses_tofus_forget_set(shared_data):
    settings = {"data_dir": str(shared_data), "forget_split": "forget01"}
    tasks, _ = load_tasks(["tofu_kfr", "tofu_krr"], settings)
    assert tasks["tofu_kfr"].dataset_info().split == "forget01"
    assert tasks["tofu_krr"].dataset_info().split == "retain"


def test_unknown_name_gets_a_suggestion():
    with pytest.raises(UserError, match="did you mean nano_krr or nano_kfr"):
        load_tasks(["nano_kfrr"], {})


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
