import pytest
import torch

from unlearn_bench.diagnostics import _prompts
from unlearn_bench.errors import UserError
from unlearn_bench.schema import Row
from unlearn_bench.tokens import Prompts

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] + SEPARATOR_END }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def test_what_is_asked_and_who_it_is_about(tokenizer, rows):
    prompt = _prompts.encode(rows[1], tokenizer, Prompts(tokenizer), positions=3)
    # Question : Where was Bram Osker born ? Answer : Bram Osker was born in Elmstad .
    assert prompt.start == 10
    assert prompt.asked == (10, 11, 12, 15)  # the first three, and the entity behind them
    assert prompt.entity == (15, 16)
    assert {prompt.pieces[i] for i in prompt.subject} == {"Bram", "Osker"}
    assert len(prompt.subject) == 4  # in the question and in the answer before the entity
    assert {prompt.pieces[i] for i in prompt.template} == {"Where", "was", "born", "?"}


def test_positions_predict_the_next_token(tokenizer, rows):
    prompts, _ = _prompts.encode_all(rows, tokenizer, positions=2)
    batch = _prompts.batches(prompts, tokenizer, torch.device("cpu"), 3)[0]
    tokens = [p.asked for p in batch.prompts]
    row, position = batch.where(tokens)
    assert batch.ids[row, position + 1].tolist() == batch.targets(tokens).tolist()
    assert batch.mask.sum(1).tolist() == [len(p.ids) for p in batch.prompts]


def test_batches_hold_every_prompt_once_and_by_length(tokenizer, rows):
    prompts, _ = _prompts.encode_all(rows, tokenizer)
    found = [p for b in _prompts.batches(prompts, tokenizer, torch.device("cpu"), 3) for p in b.prompts]
    assert {id(p) for p in found} == {id(p) for p in prompts}
    assert [len(p.ids) for p in found] == sorted(len(p.ids) for p in prompts)


@pytest.mark.parametrize(("end", "separator"), [("</s>", ""), (" </s>", "")])
def test_a_chat_template_says_what_stands_before_an_answer(tokenizer, end, separator):
    tokenizer = _copy(tokenizer, TEMPLATE.replace("SEPARATOR_END", repr(end)))
    assert Prompts(tokenizer).separator == separator
    assert Prompts(tokenizer).prompt("Why?") == f"<s><user>Why?{end}<assistant>"


def test_a_template_that_puts_a_space_before_answers(tokenizer):
    spaced = TEMPLATE.replace("SEPARATOR_END", "'</s>'").replace("+ m['content']", "+ ' ' + m['content']")
    assert Prompts(_copy(tokenizer, spaced)).separator == " "


def test_a_template_brings_its_own_beginning_token(tokenizer, rows):
    tokenizer = _copy(tokenizer, TEMPLATE.replace("SEPARATOR_END", "'</s>'"))
    prompt = _prompts.encode(rows[0], tokenizer, Prompts(tokenizer))
    assert prompt.ids.count(tokenizer.bos_token_id) == 1


def test_plain_styles_leave_a_template_out(tokenizer):
    tokenizer = _copy(tokenizer, TEMPLATE.replace("SEPARATOR_END", "'</s>'"))
    asker = Prompts(tokenizer, "qa")
    assert (asker.prompt("Why?"), asker.separator) == ("Question: Why?\nAnswer:", " ")


def test_chat_without_a_template_is_refused(tokenizer):
    with pytest.raises(UserError, match="no chat template"):
        Prompts(tokenizer, "chat")


def test_rows_without_an_answer_are_counted(tokenizer, rows):
    empty = Row(id="e", split="forget", question="Where?", answer="…")
    prompts, skipped = _prompts.encode_all([rows[0], empty], tokenizer)
    assert len(prompts) == 1
    assert skipped == {"no_answer": 1}
    with pytest.raises(UserError, match="no row to analyse"):
        _prompts.encode_all([empty], tokenizer)


def _copy(tokenizer, template):
    import copy

    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = template
    return tokenizer
