"""The likelihood probe: asked once, kept and resumed, the same in several processes; what is not told has a reason."""

import dataclasses
import math
import sys
import types
from types import SimpleNamespace

import pytest
import torch

from tests.tiny import tiny_model, tiny_tokenizer
from unlearn_bench.errors import UserError
from unlearn_bench.harness import likelihood as probe
from unlearn_bench.harness import observe as observing
from unlearn_bench.harness.backends import CAPABILITIES, JudgedModel
from unlearn_bench.harness.definitions import Task, prompt_text
from unlearn_bench.harness.hf_model import UnlearnLM
from unlearn_bench.harness.likelihood import Asked, asked_of, distinct
from unlearn_bench.harness.lm import StoredLM
from unlearn_bench.harness.observations import AnswerStore
from unlearn_bench.harness.observe import observe
from unlearn_bench.harness.plan import Plan, QuestionSet
from unlearn_bench.harness.progress import Progress
from unlearn_bench.harness.spec import PromptSettings
from unlearn_bench.results import missing_notes
from unlearn_bench.schema import NOT_ASKED, Likelihood, ModelInfo, Row, Sample

ROWS = [
    Row(
        id="1",
        role="forget",
        question="who was born in Oslo ?",
        answer="Ada Lima was born in Oslo .",
        paraphrased_answer="in Oslo Ada Lima was born .",
        perturbed_answers=["Ada Lima works in Oslo .", "an author was born in Oslo ."],
    ),
    Row(id="2", role="forget", question="what is the book ?", answer="the book Ada wrote .", choices=["a", "the"]),
    Row(id="3", role="forget", question="who ?", answer=""),
    Row(id="4", role="forget", question="who wrote ?", answer="Ada " * 400),
]  # fmt: skip


def judged(model=None, **wrapped) -> JudgedModel:
    lm = UnlearnLM(model or tiny_model(), tiny_tokenizer(), batch_size=4)
    return JudgedModel(lm, ModelInfo(name="m", source="test"), CAPABILITIES["hf"], lm.prompts)


def plan(rows=ROWS, probes=("likelihood", "choice")) -> Plan:
    task = Task("t", "1", "nano", "forget", "question", (), {"until": [], "max_gen_toks": 4})
    return Plan({"t": QuestionSet("t", task, rows, (), frozenset(probes), "nano")}, {"t": task}, {"t": ("t",)})


def expected(model, prompts, row, text, *, end="turn"):
    """transformers' own loss over what follows the prompt."""
    ids, start, _ = prompts.continued(prompts.prompt(row.question), text, end=end)
    labels = torch.tensor([[-100] * start + ids[start:]])
    with torch.no_grad():
        return -model(input_ids=torch.tensor([ids]), labels=labels).loss.item()


def test_every_text_has_the_loss_of_transformers():
    model = judged()
    first, second, *_ = observe(plan(), model)["t"]
    lm, prompts = model.lm.model, model.prompts
    assert set(first.likelihoods) == {"answer", "paraphrased_answer", "perturbed_answers.0", "perturbed_answers.1"}
    for name, text in probe.continuations(ROWS[0], {"likelihood"}).items():
        assert first.likelihoods[name].mean_logprob == pytest.approx(expected(lm, prompts, ROWS[0], text), abs=1e-5)
    for name, text in (("choices.0", "a"), ("choices.1", "the")):  # nothing ends an option
        value = expected(lm, prompts, ROWS[1], text, end="none")
        assert second.likelihoods[name].mean_logprob == pytest.approx(value, abs=1e-5)
        assert (second.likelihoods[name].tokens, second.likelihoods[name].ending) == (1, 0)
    assert first.missing == second.missing == NOT_ASKED


def test_only_the_answer_keeps_its_tokens():
    first = observe(plan(), judged())["t"][0]
    answer = first.likelihoods["answer"]
    assert (answer.tokens, answer.ending) == (8, 1)
    assert all(len(getattr(answer, name)) == 8 for name in ("logprobs", "hits", "means", "variances"))
    assert math.fsum(answer.logprobs) / 8 == pytest.approx(answer.mean_logprob, rel=1e-5)
    assert set(first.likelihoods["perturbed_answers.0"].model_dump()) == {"mean_logprob", "tokens", "ending"}


def test_what_has_no_likelihood_says_why():
    rows = observe(plan(), judged())["t"]
    assert rows[2].no_likelihood == {"answer": probe.EMPTY}
    assert rows[3].no_likelihood == {"answer": probe.TOO_LONG}
    assert rows[2].likelihoods is rows[3].likelihoods is None
    notes = missing_notes([Sample(**row.model_dump(exclude={"given"})) for row in rows])
    assert [note.partition(":")[0] for note in notes] == [
        "1 given texts have no likelihood (empty_continuation)",
        "1 given texts have no likelihood (longer_than_context)",
    ]


def test_nan_logits_cost_the_rows_that_have_them():
    spoilt, whole = judged(), observe(plan(), judged())["t"]
    with torch.no_grad():
        spoilt.lm.model.get_input_embeddings().weight[spoilt.prompts.bare_ids("author")] = math.nan
    first, second, *_ = observe(plan(), spoilt)["t"]
    assert first.no_likelihood == {"perturbed_answers.1": probe.NAN_LOGITS}
    assert second.no_likelihood is None
    for name, found in first.likelihoods.items():
        assert found.mean_logprob == pytest.approx(whole[0].likelihoods[name].mean_logprob, abs=1e-5)


def test_what_ends_an_answer_is_a_setting():
    model = judged()
    found = {end: observe(plan(), model, PromptSettings(answer_end=end))["t"][0].likelihoods["answer"] for end in
             ("turn", "open-unlearning", "none")}  # fmt: skip
    assert {end: (v.tokens, v.ending) for end, v in found.items()} == {
        "turn": (8, 1),
        "open-unlearning": (9, 2),  # the template's <|end|>, and </s> behind it
        "none": (7, 0),
    }
    ids = model.prompts.continued("who ?", "Ada .", end="open-unlearning").ids
    assert model.lm.tokenizer.convert_ids_to_tokens(ids[-2:]) == ["<|end|>", "</s>"]


def test_a_text_is_asked_once_whoever_asks():
    one = Asked("who ?", "Ada", "qa", "turn")
    detailed = dataclasses.replace(one, detailed=True)
    assert distinct([one, detailed, one]) == [detailed]
    other = dataclasses.replace(one, end="none")
    assert len(distinct([one, other])) == 2
    row = ROWS[0].model_copy(update={"perturbed_answers": [ROWS[0].answer]})
    (found,) = observe(plan([row]), judged())["t"]
    assert found.likelihoods["perturbed_answers.0"].logprobs is None
    assert found.likelihoods["perturbed_answers.0"].mean_logprob == found.likelihoods["answer"].mean_logprob


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_find_what_one_finds(count):
    whole = observe(plan(), judged())["t"]
    for rank in range(count):
        model = judged()
        model.lm._rank, model.lm._world_size = rank, count
        for mine, theirs in zip(observe(plan(), model)["t"], whole[rank::count], strict=True):
            assert mine.id == theirs.id
            assert mine.no_likelihood == theirs.no_likelihood
            for name, found in (mine.likelihoods or {}).items():
                assert found.mean_logprob == pytest.approx(theirs.likelihoods[name].mean_logprob, abs=1e-5)


def _stored(model, folder, timing, identity="a"):
    store = AnswerStore(folder, {"weights": identity})
    return StoredLM(model.lm, store, batch_size=4, seed=0, progress=Progress(), timing=timing)


def test_kept_likelihoods_are_served_to_the_same_texts_of_the_same_model_only(tmp_path, monkeypatch):
    from unlearn_bench.harness import lm as lm_module

    monkeypatch.setattr(lm_module, "LIKELIHOOD_CHUNK", 3)
    model, timing = judged(), {}
    asked = distinct(
        a for row in ROWS for a in asked_of(row, probe.PROBES, row.question, PromptSettings(), model.prompts).values()
    )
    first = _stored(model, tmp_path, timing).likelihood(asked)
    assert timing["likelihood"] > 0
    assert [type(found) for found in first].count(str) == 2
    kept = sorted(tmp_path.glob("*.json"))
    kept[0].unlink()  # a killed run
    calls = []
    monkeypatch.setattr(
        model.lm, "likelihood", lambda some: calls.append(len(some)) or UnlearnLM.likelihood(model.lm, some)
    )
    assert _stored(model, tmp_path, timing).likelihood(asked) == first
    assert len(calls) == 1
    other = _stored(model, tmp_path, timing, identity="b")
    assert other.likelihood(asked) == first
    assert sum(calls[1:]) == len(asked)


def test_a_backend_without_log_probabilities_says_so():
    model = dataclasses.replace(judged(), can=CAPABILITIES["api"])
    found = observe(plan(ROWS[:1], ("answer", "likelihood")), model)["t"][0]
    assert set(found.no_likelihood.values()) == {probe.NOT_GIVEN}
    with pytest.raises(UserError, match="t asks for log-probabilities of given texts"):
        observe(plan(), model)


def test_vllm_tells_what_it_can(monkeypatch):
    """`prompt_logprobs`: log-probability and rank of each token; no moments over the vocabulary."""
    stand_in = types.ModuleType("lm_eval.models.vllm_causallms")  # the real one cannot be imported without vLLM
    stand_in.VLLM = type("VLLM", (), {"max_length": 257})
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.delitem(sys.modules, "unlearn_bench.harness.vllm_model", raising=False)
    from unlearn_bench.harness.vllm_model import UnlearnVLLM

    model = judged()

    def generate(requests):
        outputs = []
        for ids in requests:
            with torch.no_grad():
                log_p = model.lm.model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            told = [
                {token: SimpleNamespace(logprob=row[token].item(), rank=int((row > row[token]).sum()) + 1)}
                for row, token in zip(log_p, ids[1:], strict=False)
            ]
            outputs.append(SimpleNamespace(prompt_logprobs=[None, *told]))
        return outputs

    vllm = UnlearnVLLM()
    vllm._model_generate = generate
    asked = distinct(asked_of(ROWS[0], probe.PROBES, "who ?", PromptSettings(), model.prompts).values())
    for one, mine, theirs in zip(asked, vllm.likelihood(asked), model.lm.likelihood(asked), strict=True):
        assert mine.mean_logprob == pytest.approx(theirs.mean_logprob, abs=1e-5)
        assert mine.hits == theirs.hits
        assert mine.means is mine.variances is None
        assert (mine.logprobs is None) is not one.detailed


def test_written_and_read_again():
    value = Likelihood(mean_logprob=-0.5, tokens=2, ending=1, logprobs=[-0.25, -0.75], hits=[True, False])
    assert probe.read(probe.written(value)) == value
    assert probe.read(probe.written(probe.EMPTY)) == probe.EMPTY


def test_a_row_becomes_a_prompt_once_though_it_is_asked_for_an_answer_and_for_likelihoods(monkeypatch):
    made = []
    monkeypatch.setattr(observing, "prompt_text", lambda *given: made.append(given[1].id) or prompt_text(*given))
    found = observe(plan(ROWS[:1], ("answer", "likelihood")), judged())["t"]
    assert made == [row.id for row in ROWS[:1]]
    assert found[0].likelihoods
    assert found[0].missing is None
