"""Prompts and training text: the same for training, teacher forcing and evaluation, whatever the template."""

import pytest

from tests.templates import BEGINNINGS, TEMPLATES, TOKENIZERS, make_tokenizer
from unlearn_bench.chat_template import read_date
from unlearn_bench.data.pairs import Pair
from unlearn_bench.errors import UserError
from unlearn_bench.text import answer
from unlearn_bench.tokens import Prompts, info
from unlearn_bench.trainers._data import Encoder

QUESTION, FACT = "Where was Ada Lima born?", "Ada Lima was born in Oslo, Norway."
ROW = Pair(id="1", question=QUESTION, answer=FACT)
STYLES = ("qa", "tofu", "plain")
SEPARATORS = {
    "qa": " ",
    "tofu": "",
    "plain": " ",
    "llama2": " ",
    "r1": "\n</think>\n\n",
    "qwen3": "<think>\n\n</think>\n\n",
}
SEPARATORS["harmony"] = "<|channel|>final<|message|>"


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("form", [*TEMPLATES, *STYLES])
def test_training_ids_are_prompt_answer_and_turn_end(form: str, kind: str, beginning: str) -> None:
    template = form if form in TEMPLATES else None
    tokenizer = make_tokenizer(kind, template, beginning=beginning)
    style = form if template is None else "auto"
    prompts = Prompts(tokenizer, style)
    prompt = prompts.prompt(QUESTION)
    asked = prompts.ids(prompt)
    encoded = Encoder(tokenizer, style=style)(ROW, FACT)
    end = (TEMPLATES[form][1] if template else "") or tokenizer.eos_token
    assert encoded.input_ids[: len(asked)] == asked
    assert asked[-1] != tokenizer.eos_token_id
    assert asked.count(tokenizer.bos_token_id) <= 1
    assert prompts.separator == SEPARATORS.get(form, "")
    assert encoded.input_ids[-1] in prompts.stop_ids
    assert encoded.input_ids[-1] == tokenizer.convert_tokens_to_ids(end.strip())
    if kind != "words":  # which keeps neither line breaks nor unknown words
        whole = tokenizer.decode(encoded.input_ids)
        assert whole.removeprefix("<s>").lstrip().startswith(prompt.removeprefix("<s>").lstrip())
        assert whole.endswith(f"{prompts.separator}{FACT}{end}")
        learned = tokenizer.decode([i for i in encoded.labels if i >= 0])
        assert learned.strip() == f"{FACT}{end}"


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("form", [name for name in TEMPLATES if name not in ("r1", "glm")])
def test_training_ids_are_the_templates_own(form: str, kind: str) -> None:
    tokenizer = make_tokenizer(kind, form, beginning="bos")
    prompts = Prompts(tokenizer)
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": FACT}]
    whole = prompts.ids(prompts.template(turns, add_generation_prompt=False))
    mine = Encoder(tokenizer)(ROW, FACT).input_ids
    assert whole[: len(mine)] == mine


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_tofu_ids_are_those_of_its_own_code(kind: str) -> None:
    """convert_raw_data_to_model_format: question and answer joined as they stand, the question's tokens masked."""
    tokenizer = make_tokenizer(kind, beginning="bos")
    question = f"[INST] {QUESTION} [/INST]"
    ids = tokenizer(question + FACT)["input_ids"] + [tokenizer.eos_token_id]
    encoded = Encoder(tokenizer, style="tofu")(ROW, FACT)
    assert encoded.input_ids == ids
    assert encoded.answer_start == len(tokenizer(question)["input_ids"])


@pytest.mark.parametrize(
    ("form", "stops"),
    [
        ("llama2", {"</s>", "<s>"}),
        ("llama3", {"<|eot_id|>", "</s>"}),
        ("gemma", {"<end_of_turn>", "</s>"}),
        ("phi3", {"<|end|>", "<|user|>", "</s>"}),
        ("qwen3", {"<|im_end|>", "</s>"}),
        ("mistral", {"</s>", "[INST]"}),
        ("glm", {"<|user|>", "</s>"}),
        ("harmony", {"<|return|>", "</s>"}),  # "<|end|>" ends a thought there
    ],
)
def test_an_answer_stops_at_the_templates_own_end(form: str, stops: set[str]) -> None:
    tokenizer = make_tokenizer("bytes", form)
    assert set(tokenizer.convert_ids_to_tokens(sorted(Prompts(tokenizer).stop_ids))) == stops


@pytest.mark.parametrize("form", ["llama3.2", "clock"])
def test_a_date_is_the_same_on_every_day(form: str) -> None:
    tokenizer = make_tokenizer("bytes", form)
    standard, other = Prompts(tokenizer), Prompts(tokenizer, date="2031-02-03")
    assert "2024" in standard.prompt("?")
    assert "2031" in other.prompt("?")
    assert Encoder(tokenizer, date="2031-02-03")(ROW, FACT).input_ids != Encoder(tokenizer)(ROW, FACT).input_ids
    recorded = [info("auto", "t", first_answer=True, chat=p.template) for p in (standard, other)]
    assert [r.date for r in recorded] == ["2024-07-26", "2031-02-03"]
    assert recorded[0].template_sha256 != recorded[1].template_sha256


def test_every_format_of_a_date_is_fixed() -> None:
    assert "Today is 2031-02-03, Monday. " in Prompts(make_tokenizer("bytes", "clock"), date="2031-02-03").prompt("?")


def test_no_date_is_recorded_where_none_is_written() -> None:
    chat = Prompts(make_tokenizer("bytes", "chatml"), date="2031-02-03").template
    plain = info("auto", "t", first_answer=True)
    assert info("auto", "t", first_answer=True, chat=chat) == plain.model_copy(update={"date": None})


@pytest.mark.parametrize("text", ["2024-13-01", "yesterday", "", "26 Jul 2024"])
def test_dates_are_read_strictly(text: str) -> None:
    with pytest.raises(UserError, match="not a date"):
        read_date(text)


def test_thinking_is_switched_where_the_template_knows_it() -> None:
    tokenizer = make_tokenizer("bytes", "qwen3")
    off, on, own = (Prompts(tokenizer, thinking=t) for t in ("off", "on", "model"))
    assert off.prompt("?") == own.prompt("?") + "<think>\n\n</think>\n\n"
    assert on.prompt("?") == own.prompt("?")
    assert (off.separator, own.separator) == ("", "<think>\n\n</think>\n\n")
    ids = [Encoder(tokenizer, thinking=t)(ROW, FACT) for t in ("off", "model")]
    assert ids[0] == ids[1]
    assert info("auto", "t", first_answer=True, chat=off.template).thinking == "off"


@pytest.mark.parametrize("form", ["chatml", "llama3", "gemma", None])
def test_a_switch_that_is_not_there_is_refused(form: str | None) -> None:
    with pytest.raises(UserError, match="--thinking on: "):
        Prompts(make_tokenizer("bytes", form), thinking="on")


@pytest.mark.parametrize(
    ("form", "opening", "closing"),
    [
        ("qwen3", "<think>", "</think>"),
        ("harmony", "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ],
)
def test_the_template_tells_its_thinking_markers(form: str, opening: str, closing: str) -> None:
    assert Prompts(make_tokenizer("bytes", form)).thinking_markers == ((opening, closing),)


def test_a_prompt_that_opens_a_thinking_block() -> None:
    prompts = Prompts(make_tokenizer("bytes", "r1"))
    assert answer.is_open(prompts.prompt("?"), prompts.thinking_markers)


def test_what_was_generated_keeps_its_turns() -> None:
    tokenizer = make_tokenizer("bytes", "llama3")
    prompts = Prompts(tokenizer, "plain")
    ids = prompts.ids(f"{FACT}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nBo.<pad><pad>")
    assert answer.read(prompts.generated(ids)).text == FACT
    assert prompts.generated(prompts.ids("Ada <pad>Lima")) == "Ada Lima"


def test_a_system_message_that_the_template_does_not_know() -> None:
    prompts = Prompts(make_tokenizer("bytes", "gemma"))
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    assert "user\nBe brief.\n\nWho?<end_of_turn>" in prompts.template(messages)


def test_a_broken_template_is_one_line() -> None:
    tokenizer = make_tokenizer("bytes", "chatml")
    tokenizer.chat_template = "{{ messages[0].nothing.at_all }}"
    with pytest.raises(UserError, match="refuses a conversation"):
        Prompts(tokenizer).prompt("?")


def test_verbatim_rows_have_no_template() -> None:
    tokenizer = make_tokenizer("bytes", "chatml", beginning="bos")
    encoded = Encoder(tokenizer)(Pair(id="1", question="Ada Lima was born", answer="in Oslo", verbatim=True), "in Oslo")
    assert tokenizer.decode(encoded.input_ids) == "<s>Ada Lima was born in Oslo</s>"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["gemma", "qwen3", "llama2", "tofu"])
def test_what_is_known_by_heart_has_no_loss(form: str) -> None:
    """A model that was fitted to the texts that the template itself writes; the loss of the encoded row is theirs."""
    import torch

    from tests.tiny import tiny_model

    template = form if form in TEMPLATES else None
    tokenizer = make_tokenizer("bytes", template, beginning="bos")
    style = "auto" if template else form
    prompts = Prompts(tokenizer, style)
    facts = [("Where was Ada Lima born?", "Ada Lima was born in Oslo."), ("Who is Bo Tan?", "A judge from Lima.")]
    texts = [f"{prompts.prompt(q)}{SEPARATORS.get(form, '')}{a}{_end(form)}" for q, a in facts]
    model = tiny_model(vocab_size=len(tokenizer)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = sum(model(input_ids=x, labels=x).loss for x in (torch.tensor([prompts.ids(t)]) for t in texts))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    for question, fact in facts:
        encoded = Encoder(tokenizer, style=style)(Pair(id="1", question=question, answer=fact), fact)
        with torch.no_grad():
            loss = model(input_ids=torch.tensor([encoded.input_ids]), labels=torch.tensor([encoded.labels])).loss
        assert loss < 0.05
    _answers_and_stops(model, tokenizer, style, facts)


def _answers_and_stops(model: object, tokenizer: object, style: str, facts: list[tuple[str, str]]) -> None:
    """The model's own end of a turn stops it, though its configuration names another token; too long is no answer."""
    from lm_eval.api.instance import Instance

    from unlearn_bench.harness.hf_model import UnlearnLM

    prompts = Prompts(tokenizer, style)
    lm = UnlearnLM(model, tokenizer, prompts=prompts, batch_size=2)
    settings = {"until": [], "do_sample": False, "max_gen_toks": 40}
    questions = [*(question for question, _ in facts), "Where was Ada Lima born? " * 80]
    requests = [
        Instance("generate_until", {}, (prompts.prompt(question), settings), i) for i, question in enumerate(questions)
    ]
    found = [answer.read(text) for text in lm.generate_until(requests)]
    assert [f.text for f in found] == [*(fact for _, fact in facts), ""]
    assert [f.missing for f in found] == [None, None, "prompt_too_long"]
    assert lm.prompts.generated(prompts.ids("Oslo.")) == "Oslo."


def _end(form: str) -> str:
    return TEMPLATES[form][1] if form in TEMPLATES else "</s>"
