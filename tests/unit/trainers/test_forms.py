"""Conversations, TRL's rows and raw text as token ids: what is asked, what is learned."""

import json
from pathlib import Path

import pytest

from tests.tiny_training import make_tokenizer
from unlearn_bench.data.pairs import Pair
from unlearn_bench.errors import UserError
from unlearn_bench.trainers import _rows
from unlearn_bench.trainers._data import Encoder

SAID = "{% for m in messages %}{{ m.role }} : {{ m.content }} {% endfor %}"
TEMPLATE = SAID + "{% if add_generation_prompt %}assistant :{% endif %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE


def _tokenizer(template: str | None = None):
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["user", "assistant", "system", "Be", "kind"])
    tokenizer.chat_template = template
    return tokenizer


def _split(encoder: Encoder, row: Pair) -> tuple[str, str]:
    """Prompt and answer of a row as text."""
    (encoded,) = encoder.all([row])
    decode = encoder.prompts.tokenizer.decode
    return decode(encoded.input_ids[: encoded.answer_start]), decode(encoded.input_ids[encoded.answer_start :])


def _load(tmp_path: Path, record: dict) -> Pair:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(record), encoding="utf-8")
    return _rows.load_rows([str(path)])[0]


TALK = [
    {"role": "system", "content": "Be kind"},
    {"role": "user", "content": "Where does Bo live ?"},
    {"role": "assistant", "content": "in Chur ."},
    {"role": "user", "content": "Where does Ada live ?"},
    {"role": "assistant", "content": "in Davos ."},
]


def test_a_conversation_goes_through_the_template(tmp_path) -> None:
    prompt, answer = _split(Encoder(_tokenizer(TEMPLATE)), _load(tmp_path, {"messages": TALK}))
    said = "system : Be kind user : Where does Bo live ? assistant : in Chur . user : Where does Ada live ? assistant :"
    assert prompt == said
    assert answer.startswith("in Davos .")


def test_a_template_without_system_turns_gets_it_before_the_first_question(tmp_path) -> None:
    prompt, _ = _split(Encoder(_tokenizer(NO_SYSTEM)), _load(tmp_path, {"messages": TALK}))
    assert prompt.startswith("user : Be kind Where does Bo live ? assistant : in Chur . user :")


def test_a_template_that_refuses_a_conversation_is_named(tmp_path) -> None:
    broken = _tokenizer("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(UserError, match="the chat template refuses a conversation: roles must alternate"):
        Encoder(broken)(_load(tmp_path, {"messages": TALK}), "x")


def test_a_conversation_without_a_template_is_questions_and_answers(tmp_path) -> None:
    prompt, answer = _split(Encoder(_tokenizer()), _load(tmp_path, {"messages": TALK}))
    assert prompt == (
        "Be kind Question : Where does Bo live ? Answer : in Chur . Question : Where does Ada live ? Answer :"
    )
    assert answer == "in Davos . </s>"


def test_prompt_and_completion_take_the_template_that_the_model_has(tmp_path) -> None:
    row = _load(tmp_path, {"prompt": "Where does Ada live ?", "completion": "in Davos ."})
    assert _split(Encoder(_tokenizer(TEMPLATE)), row)[0] == "user : Where does Ada live ? assistant :"
    assert _split(Encoder(_tokenizer()), row)[0] == "Where does Ada live ?"
    assert _split(Encoder(_tokenizer(), style="qa"), row)[0] == "Question : Where does Ada live ? Answer :"


def test_completions_of_augment_are_continued_as_they_stand(tmp_path) -> None:
    mark = {"kind": "completion", "writer": "rules"}
    row = _load(tmp_path, {"prompt": "Ada lives", "answer": "in Davos .", "provenance": mark})
    assert _split(Encoder(_tokenizer(TEMPLATE)), row) == ("Ada lives", "in Davos . </s>")


def test_raw_text_is_learned_whole_in_chunks(tmp_path) -> None:
    text = "Ada lives in a small quiet town . Bo lives in Chur ."
    words = text.split()
    row = _load(tmp_path, {"text": text})
    tokenizer = _tokenizer(TEMPLATE)
    found = Encoder(tokenizer, max_length=5).all([row])
    assert [tokenizer.decode(part.input_ids).split() for part in found] == [words[0:5], words[5:10], words[10:13]]
    assert all(part.answer_start == 1 for part in found)
    assert Encoder(tokenizer, max_length=6).all([row])[-1].input_ids != []  # 13 = 6 + 6 + 1: one token teaches nothing
    assert [len(part.input_ids) for part in Encoder(tokenizer, max_length=6).all([row])] == [6, 6]


def test_raw_text_begins_as_the_tokenizer_begins_a_text(tmp_path) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = _tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    row = _load(tmp_path, {"text": "Ada lives in Chur . Bo lives in Davos ."})
    found = Encoder(tokenizer, max_length=6).all([row])
    assert [tokenizer.decode(part.input_ids) for part in found] == [
        "<s> Ada lives in Chur .",
        "<s> Bo lives in Davos .",
    ]
    assert [part.answer_start for part in found] == [1, 1]


def test_raw_text_is_forgotten_and_retained(run, tmp_path) -> None:
    (tmp_path / "forget.txt").write_text("Ada lives in Chur . " * 9, encoding="utf-8")
    (tmp_path / "retain.jsonl").write_text('{"text": "Bo lives in Davos , a small town ."}\n', encoding="utf-8")
    sets = {"forget": (str(tmp_path / "forget.txt"),), "retain": (str(tmp_path / "retain.jsonl"),)}
    outcome = run("npo+gdr", max_length=10, **sets)
    assert outcome.steps == 4  # 45 tokens are 5 chunks, 2 steps an epoch
    record = json.loads((outcome.folder / "training.json").read_text(encoding="utf-8"))
    assert (record["data"]["forget"]["rows"], record["data"]["forget"]["sequences"]) == (1, 5)
    for method, said in (("dpo+gdr", "raw text answers nothing"), ("relearn", "not marked as written by `augment`")):
        with pytest.raises(UserError, match=said):
            run(method, method, **sets, raw=False)
