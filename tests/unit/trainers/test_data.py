"""Rows from files, and what of them is trained on."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.tiny_training import make_tokenizer
from unlearn_bench.data.pairs import Pair
from unlearn_bench.errors import UserError
from unlearn_bench.trainers import _rows
from unlearn_bench.trainers._data import Encoder

ROW = Pair(id="1", question="Where does Ada live ?", answer="Ada lives in Chur .")


def _file(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "rows.jsonl"
    path.write_text(text, encoding="utf-8")
    return [str(path)]


def _text(tokenizer, ids) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(ids))


def test_aliases_arrays_and_lines(tmp_path: Path) -> None:
    lines = '{"question": "q", "answer": "a"}\n\n{"prompt": "p", "completion": "c", "kind": "completion"}\n'
    first, second = _rows.load_rows(_file(tmp_path, lines))
    assert (first.question, first.answer, first.verbatim) == ("q", "a", False)
    assert (second.question, second.answer, second.verbatim) == ("p", "c", True)
    (knowundo,) = _rows.load_rows(_file(tmp_path, '[{"text": "q", "labels": "a"}]'))
    assert (knowundo.question, knowundo.answer) == ("q", "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"question": "q", "answer": "a"}\n{"question": "q"}\n', r"rows.jsonl:2: no 'answer'"),
        ('{"question": "q", "answer": ""}', r"rows.jsonl:1: 'answer' must be a non-empty text"),
        ('{"question": 3, "answer": "a"}', r"rows.jsonl:1: 'question' must be a non-empty text, got 3"),
        ("{oops", r"rows.jsonl:1: not JSON"),
        ("[1]", r"item 1: expected an object, got int"),
        ("[]", "no rows"),
        ('{"question": "q", "answer": "a", "preferred_answer": 1}', "preferred_answer"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _rows.load_rows(_file(tmp_path, text))


def test_neither_file_nor_dataset() -> None:
    with pytest.raises(UserError, match="neither a file nor DATASET:SPLIT") as error:
        _rows.load_rows(["nowhere.jsonl"])
    assert "nano" in error.value.hint


def test_rows_of_a_dataset_by_name() -> None:
    rows = _rows.load_rows(["nano:forget"])
    assert len(rows) > 50
    assert all(row.question and row.answer for row in rows)


def test_answer_and_end_are_trained_the_prompt_is_not() -> None:
    tokenizer = make_tokenizer()
    encoded = Encoder(tokenizer)(ROW, ROW.answer)
    assert _text(tokenizer, encoded.input_ids) == ("Question : Where does Ada live ? Answer : Ada lives in Chur . </s>")
    trained = [label for label in encoded.labels if label != -100]
    assert _text(tokenizer, trained) == "Ada lives in Chur . </s>"
    assert len(encoded.labels) == len(encoded.input_ids)


def test_a_prompt_is_taken_as_it_is() -> None:
    tokenizer = make_tokenizer()
    row = Pair(id="1", question="Ada lives", answer="in Chur .", verbatim=True)
    encoded = Encoder(tokenizer)(row, row.answer)
    assert _text(tokenizer, encoded.input_ids) == "Ada lives in Chur . </s>"
    assert encoded.answer_start == 2


def test_chat_template_has_one_beginning() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}{{ ' : ' if m.role == 'assistant' else ' ' }}{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %} :{% endif %}"
    )
    encoded = Encoder(tokenizer)(ROW, ROW.answer)
    assert _text(tokenizer, encoded.input_ids).startswith("<s> Where does Ada live ? : Ada lives")
    assert encoded.input_ids.count(tokenizer.bos_token_id) == 1


def test_the_embedded_model_is_asked_as_it_was_trained() -> None:
    from unlearn_bench.nano import checkpoint_path
    from unlearn_bench.nano.train import encoder

    tokenizer = AutoTokenizer.from_pretrained(checkpoint_path("nano-full"))
    for row in _rows.load_rows(["nano:forget"])[:20]:
        encoded = Encoder(tokenizer)(row, row.answer)
        assert (encoded.input_ids, encoded.labels) == encoder(tokenizer)((row.question, row.answer))


def test_a_merge_across_the_seam_belongs_to_the_answer(tmp_path: Path) -> None:
    # Byte-level BPE may merge the space before the answer with the colon of the prompt.
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"</s>": 0, "a": 1, ":": 2, " ": 3, ": ": 4, "b": 5}
    raw = Tokenizer(models.BPE(vocabulary, [(":", " ")]))
    raw.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>")
    row = Pair(id="1", question="a:", answer="b", verbatim=True)
    encoded = Encoder(tokenizer)(row, row.answer)
    assert encoded.input_ids == [1, 4, 5, 0]
    assert encoded.labels == [-100, 4, 5, 0]


def test_too_long_answers_are_cut_and_counted_and_prompts_refused() -> None:
    tokenizer = make_tokenizer()
    encoder = Encoder(tokenizer, max_length=11)
    assert len(encoder(ROW, ROW.answer).input_ids) == 11
    assert encoder.truncated == 1
    with pytest.raises(UserError, match="leaves no room for the answer"):
        Encoder(tokenizer, max_length=9)(ROW, ROW.answer)


def test_refusals_are_the_same_every_time_and_depend_on_the_seed() -> None:
    rows = [Pair(id=str(i), question=f"q{i}", answer="a") for i in range(40)]
    refusals = _rows.read_refusals(None)
    first = [row.preferred for row in _rows.with_refusals(rows, refusals, seed=0)]
    assert first == [row.preferred for row in _rows.with_refusals(rows, refusals, seed=0)]
    assert first != [row.preferred for row in _rows.with_refusals(rows, refusals, seed=1)]
    assert len(set(first)) > 5
    kept = Pair(id="1", question="q", answer="a", preferred="mine")
    assert _rows.with_refusals([kept], refusals, seed=0) == [kept]


def test_hash_is_over_the_rows_not_the_file(tmp_path: Path) -> None:
    records = [{"question": "q", "answer": "a"}]
    lines = _rows.load_rows(_file(tmp_path, json.dumps(records[0])))
    array = _rows.load_rows(_file(tmp_path, json.dumps(records)))
    assert _rows.rows_sha256(lines) == _rows.rows_sha256(array)
    other = _rows.load_rows(_file(tmp_path, json.dumps({"question": "q", "answer": "b"})))
    assert _rows.rows_sha256(lines) != _rows.rows_sha256(other)
