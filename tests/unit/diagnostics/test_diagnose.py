import json
import math

import numpy as np
import pytest
import torch

from tests.unit.diagnostics.conftest import build
from tests.unit.test_glossary import unexplained
from unlearn_bench.diagnostics import _generate, _hooks, _plots, output
from unlearn_bench.diagnostics._plot_circuit import draw_circuit
from unlearn_bench.diagnostics._prompts import batches, encode_all
from unlearn_bench.diagnostics.diagnose import diagnose
from unlearn_bench.diagnostics.schema import DIAGNOSTICS, Diagnostics
from unlearn_bench.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models():
    return [build("llama", seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def found(models, tokenizer, rows):
    model, reference, retain = models
    return diagnose(model, tokenizer, rows, original=reference, oracle=retain, positions=4, batch_size=3)


def test_every_architecture_gets_every_table(architecture, tokenizer, rows):
    options = {"use_parallel_residual": False} if architecture == "gpt_neox_sequential" else {}
    judged, reference, retain = (
        build(architecture.removesuffix("_sequential"), seed=seed, **options) for seed in range(3)
    )
    found = diagnose(judged, tokenizer, rows[:3], original=reference, oracle=retain, positions=3)
    assert set(found.document.tables) == set(DIAGNOSTICS)
    assert not found.document.unavailable


def test_every_number_is_explained(found):
    assert unexplained(found.document.tables) == set()


def test_means_are_those_of_the_arrays(found, rows):
    arrays, table = found.arrays, found.document.tables["token_distribution"]
    counts = arrays["forced_counts"]
    ends = np.cumsum(counts)
    entropy = [arrays["forced_entropy"][end - count : end] for end, count in zip(ends, counts, strict=True)]
    assert table["forced_first_entropy"].value == pytest.approx(np.mean([e[0] for e in entropy]), rel=1e-5)
    assert table["forced_answer_entropy"].value == pytest.approx(np.mean([e[:4].mean() for e in entropy]), rel=1e-5)
    assert table["forced_entity_entropy"].value == pytest.approx(np.mean([e[-1] for e in entropy]), rel=1e-5)
    assert table["forced_first_entropy"].n == len(rows) == found.document.rows
    assert found.document.tables["depth"]["uds"].n + found.document.tables["depth"]["uds"].unscored == len(rows)


def test_the_order_of_rows_is_kept(found, rows):
    assert found.arrays["row_id"].tolist() == [r.id for r in rows]


def test_batch_size_and_fused_attention_change_nothing(found, models, tokenizer, rows):
    model, reference, retain = models
    again = diagnose(
        model,
        tokenizer,
        rows,
        original=reference,
        oracle=retain,
        positions=4,
        batch_size=1,
        diagnostics=("token_distribution", "logit_lens", "depth"),
    )
    for diagnostic in again.document.tables:
        for name, value in again.document.tables[diagnostic].items():
            assert value.value == pytest.approx(found.document.tables[diagnostic][name].value, abs=1e-4), name


def test_the_model_itself_as_reference(models, tokenizer, rows):
    model, _, retain = models
    same = diagnose(model, tokenizer, rows, original=model, oracle=retain)
    tables = same.document.tables
    assert tables["depth"]["uds"].value == 0
    assert tables["weights"]["update_norm"].value == 0
    assert tables["weights"]["flips_int8"].value == 0
    for name in (
        "forced_answer_divergence",
        "forced_answer_flattened",
        "forced_answer_repeaked",
        "free_answer_divergence",
    ):
        assert tables["token_distribution"][name].value == pytest.approx(0, abs=1e-6)
    assert tables["circuits"]["graph_difference_0.04"].value == 0
    assert tables["circuits"]["subject_share_difference"].value == 0


def test_the_retain_model_has_no_excess_over_itself(models, tokenizer, rows):
    _, reference, retain = models
    tables = diagnose(retain, tokenizer, rows, original=reference, oracle=retain).document.tables
    assert tables["depth"]["uds"].value == 1
    assert tables["logit_lens"]["answer_residual_excess"].value == 0


def test_one_pass_of_the_judged_model_serves_three(models, tokenizer, rows, monkeypatch):
    calls = []
    original = type(models[0].model).forward
    monkeypatch.setattr(
        type(models[0].model),
        "forward",
        lambda self, *a, **k: calls.append(k.get("use_cache")) or original(self, *a, **k),
    )
    diagnose(
        models[0],
        tokenizer,
        rows,
        batch_size=8,
        positions=4,
        diagnostics=("token_distribution", "logit_lens", "circuits"),
    )
    # two of the check of the read-out, one recorded pass, and four steps of the model's own answer (with a cache)
    assert calls == [False, False, False, True, True, True, True]


def test_only_asked_positions_are_projected(models, tokenizer, rows):
    seen = []
    handle = models[0].lm_head.register_forward_hook(lambda m, args, out: seen.append(out.shape[:-1].numel()))
    try:
        diagnose(models[0], tokenizer, rows, batch_size=8, positions=4, diagnostics=("logit_lens",))
    finally:
        handle.remove()
    asked = 8 * 5  # four positions and the entity behind them
    # the check of the read-out reads 8 positions three times; then one level at a time, the last of them once
    assert seen == [8, 8, 8, asked, asked, asked, asked]


def test_what_needs_another_model_is_said(models, tokenizer, rows):
    alone = diagnose(models[0], tokenizer, rows).document
    assert set(alone.tables) == {"token_distribution", "logit_lens", "circuits"}
    assert set(alone.unavailable) == {
        "token_distribution.original",
        "logit_lens.residual_excess",
        "circuits.difference",
        "depth",
        "weights",
    }
    assert "forced_answer_divergence" not in alone.tables["token_distribution"]
    only_original = diagnose(models[0], tokenizer, rows, original=models[1]).document
    assert "--oracle" in only_original.unavailable["depth"]
    assert "weights" in only_original.tables


@pytest.mark.slow
def test_a_broken_model_is_counted_never_scored(models, tokenizer, rows, tmp_path):
    broken = build("llama")
    with torch.no_grad():
        broken.model.layers[1].mlp.up_proj.weight.fill_(float("nan"))
    found = diagnose(broken, tokenizer, rows, original=models[1], oracle=models[2])
    for diagnostic, name in (
        ("token_distribution", "forced_answer_gold_rank"),
        ("logit_lens", "answer_residual"),
        ("circuits", "subject_share"),
        ("depth", "uds"),
    ):
        value = found.document.tables[diagnostic][name]
        assert value.value is None
        assert value.unscored_reasons == {"logits_not_finite": len(rows)}
    assert found.document.tables["weights"]["update_norm"].unscored_reasons == {"not_finite": 1}
    output.write_diagnosis(found, tmp_path)


def test_the_document_is_strict_json_without_nan(found, tmp_path):
    output.write_diagnosis(found, tmp_path, plots=False)
    text = (tmp_path / "diagnostics.json").read_text()
    document = json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} in the document"))
    assert Diagnostics.model_validate(document) == found.document
    assert output.read_document(tmp_path) == found.document
    arrays = np.load(tmp_path / "diagnostics.npz")  # refuses pickled objects
    assert all(arrays[name].dtype != object for name in arrays.files)


@pytest.mark.slow
def test_plots_are_written_the_same_twice(found, tmp_path):
    output.write_diagnosis(found, tmp_path / "a")
    (tmp_path / "b").mkdir()
    _plots._save(_plots.plot_depth(found.document), tmp_path / "b", "depth")
    _plots._save(draw_circuit(found.records[0], found.document), tmp_path / "b", "circuit")
    names = {"token_distribution", "logit_lens", "circuit", "circuit_shares", "depth"}
    assert {p.stem for p in (tmp_path / "a").glob("*.svg")} == {p.stem for p in (tmp_path / "a").glob("*.png")} == names
    for path in (tmp_path / "b").glob("*.svg"):
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()


def test_free_running_is_greedy_and_ends_with_the_end_token(models, tokenizer, rows):
    model = models[0]
    decoder = _hooks.find_decoder(model)
    prompts, _ = encode_all(rows, tokenizer)
    batch = batches(prompts, tokenizer, decoder.device, 8)[0]
    own, logits = _generate.run_free(decoder, batch, positions=5, ends=frozenset())
    flat = 0
    for prompt, free in zip(batch.prompts, own, strict=True):
        ids = list(prompt.ids[: prompt.start])
        for token in free.ids[prompt.start :]:
            expected = model(torch.tensor([ids])).logits[0, -1]
            torch.testing.assert_close(logits[flat], expected, atol=1e-4, rtol=1e-4)
            assert token == expected.argmax()
            ids.append(token)
            flat += 1
    ended, _ = _generate.run_free(decoder, batch, positions=5, ends=frozenset({own[0].ids[own[0].start + 1]}))
    assert len(ended[0].ids) == own[0].start + 2


def test_unknown_names_and_other_vocabularies_are_refused(models, tokenizer, rows):
    with pytest.raises(UserError, match="unknown diagnostic 'circuit'"):
        diagnose(models[0], tokenizer, rows, diagnostics=("circuit",))
    with pytest.raises(UserError, match="--original has a vocabulary of"):
        diagnose(models[0], tokenizer, rows, original=build("llama", vocab_size=99))
    with pytest.raises(UserError, match="--oracle: 4 blocks"):
        diagnose(models[0], tokenizer, rows, original=models[1], oracle=build("llama", num_hidden_layers=4))


def test_other_shapes_are_refused_before_the_work(models, tokenizer, rows):
    wider, done = build("llama", intermediate_size=64), []
    asked = {"original": wider, "diagnostics": ("logit_lens", "weights"), "on_rows": done.append}
    with pytest.raises(UserError, match="weights: the two models differ in shape"):
        diagnose(models[0], tokenizer, rows, **asked)
    assert not done


def test_more_candidates_than_tokens_are_refused(models, tokenizer, rows):
    with pytest.raises(UserError, match="--candidates 99: the model knows 42 tokens"):
        diagnose(models[0], tokenizer, rows, candidates=99)


@pytest.mark.parametrize("which", ["model", "original"])
def test_prompts_longer_than_the_context_of_any_model_are_left_out(models, tokenizer, rows, which):
    longer = rows[0].model_copy(update={"question": "Where was Ada Quill born Where was Ada Quill born ?"})
    small = build("llama", max_position_embeddings=17)  # the other rows have 17 tokens
    given = {"model": models[0], "original": models[1], which: small}
    found = diagnose(given["model"], tokenizer, [longer, *rows[1:]], original=given["original"])
    assert found.document.skipped == {"too_long": 1}
    assert found.document.rows == len(rows) - 1
    with pytest.raises(UserError, match="no row to analyse: 1 longer than the context of a model"):
        diagnose(given["model"], tokenizer, [longer], original=given["original"])


def test_no_more_steps_than_the_longest_answer_has_tokens(models, tokenizer, rows):
    calls = []
    handle = models[0].model.register_forward_hook(lambda *_: calls.append(1))
    try:
        diagnose(models[0], tokenizer, rows[:2], positions=50, diagnostics=("token_distribution",))
    finally:
        handle.remove()
    # two of the check of the read-out, one recorded pass; Ada Quill was born in Norvik .
    assert len(calls) == 2 + 1 + 7


def test_a_doubtful_depth_is_said_in_the_document(models, tokenizer, rows):
    model, reference, retain = models
    found = diagnose(model, tokenizer, rows, original=reference, oracle=retain, diagnostics=("depth",))
    assert "could not be checked" in found.document.warnings[0]
    control = found.document.tables["depth"]["control"]
    assert (control.value, control.unscored_reasons) == (None, {"no_token_that_both_know": len(rows)})
    assert not diagnose(model, tokenizer, rows, diagnostics=("logit_lens",)).document.warnings


def test_a_question_about_nobody_has_no_shares(models, tokenizer, rows):
    nobody = rows[0].model_copy(update={"question": "Where was it?", "cluster": None})
    table = diagnose(models[0], tokenizer, [nobody, rows[1]], diagnostics=("circuits",)).document.tables["circuits"]
    assert table["subject_share"].n == 1
    assert table["subject_share"].unscored_reasons == {"subject_not_found": 1}
    assert table["edges_0.04"].n == 2


def test_limit_takes_the_first_rows(models, tokenizer, rows):
    found = diagnose(models[0], tokenizer, rows, limit=2, diagnostics=("token_distribution",))
    assert found.arrays["row_id"].tolist() == ["f0", "f1"]


def test_the_question_that_is_drawn_can_be_chosen(models, tokenizer, rows):
    model, reference, _ = models
    settings = {"original": reference, "diagnostics": ["token_distribution"], "positions": 3}
    plain = diagnose(model, tokenizer, rows, **settings)
    for question in (rows[2].id, "3"):
        chosen = diagnose(model, tokenizer, rows, question=question, **settings)
        assert [e.id for e in chosen.document.examples] == [rows[2].id, rows[0].id, rows[1].id]
        assert chosen.drawn[0] is chosen.records[2]
        assert chosen.document.tables == plain.document.tables  # the numbers are over the same rows in the same order
    assert [e.id for e in plain.document.examples] == [row.id for row in rows[:3]]
    for question in ("nobody", "0", str(len(rows) + 1)):
        with pytest.raises(UserError, match=f"--question {question}: no such question"):
            diagnose(model, tokenizer, rows, question=question, **settings)


def test_examples_spell_the_tokens_out(found):
    example = found.document.examples[0]
    assert [p.gold for p in example.forced] == ["Ada", "Quill", "was", "born", "Norvik"]
    assert [p.entity for p in example.forced] == [False] * 4 + [True]
    assert [p.token for p in example.forced] == [1, 2, 3, 4, 6]  # "in" lies between
    for position in example.forced:
        probabilities = [c.probability for c in position.candidates]
        assert probabilities == sorted(probabilities, reverse=True)
        assert math.fsum(probabilities) <= 1 + 1e-6
        assert len(position.original) == 5
