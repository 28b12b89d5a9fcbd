"""Where an answer begins, under tokenizers that merge the end of a prompt with the beginning of its answer."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from unlearn_bench.tokens import ENDS, Prompts, Tokens

PROMPT, ANSWER = "Who?", " Ada"
BPE_MERGES = [("?", "Ġ"), ("A", "d"), ("?Ġ", "Ad")]
SENTENCEPIECE_MERGES = [("▁", "W"), ("?", "▁"), ("A", "d"), ("?▁", "Ad")]
CHAT = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}?{% else %} {{ m.content }}<e>{% endif %}"
    "{% endfor %}"
)


def make(kind: str, *, bos: bool) -> PreTrainedTokenizerFast:
    """A tokenizer of single characters and a few merges, one of them from a question mark to an answer's letters."""
    if kind == "bpe":
        before, decoder = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), decoders.ByteLevel()
        letters, merges = sorted(pre_tokenizers.ByteLevel.alphabet()), BPE_MERGES
    else:
        before, decoder = pre_tokenizers.Metaspace(prepend_scheme="first", split=False), decoders.Metaspace()
        letters, merges = sorted({*map(chr, range(33, 127)), "▁"}), SENTENCEPIECE_MERGES
    names = ["<s>", "<e>", *letters, *(a + b for a, b in merges)]
    core = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, merges))
    core.pre_tokenizer, core.decoder = before, decoder
    core.add_special_tokens(["<s>", "<e>"])
    if bos:
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="<e>")


@pytest.fixture(params=["bpe", "sentencepiece"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("bos", [True, False])
def test_a_merged_token_is_asked_apart_or_the_answers_or_counted(kind: str, bos: bool) -> None:
    tokens = Tokens(make(kind, bos=bos))
    alone, whole = tokens.ids(PROMPT), tokens.ids(PROMPT + ANSWER)
    assert whole[: len(alone)] != alone  # "? Ad" is one token
    asked = tokens.join(PROMPT, ANSWER)
    assert asked.ids[: asked.answer_start] == alone
    assert tokens.tokenizer.decode(asked.ids[asked.answer_start :]).strip() == "Ada"
    text = tokens.join(PROMPT, ANSWER, seam="text")
    assert (text.ids, text.answer_start) == (whole, len(alone) - 1)
    count = tokens.join(PROMPT, ANSWER, seam="count")
    assert (count.ids, count.answer_start) == (whole, len(alone))


@pytest.mark.parametrize("seam", ["asked", "text", "count"])
def test_without_a_merge_all_seams_agree(kind: str, seam: str) -> None:
    tokens = Tokens(make(kind, bos=True))
    found = tokens.join("Who is she:", ANSWER, seam=seam)
    assert found.ids == tokens.ids("Who is she: Ada")
    assert found.answer_start == len(tokens.ids("Who is she:"))


@pytest.mark.parametrize("seam", ["asked", "text"])
@pytest.mark.parametrize("prompt", [PROMPT, "Who is she:"])
def test_spans_are_the_characters_of_the_tokens(kind: str, prompt: str, seam: str) -> None:
    tokens = Tokens(make(kind, bos=True))
    found = tokens.join(prompt, ANSWER, seam=seam, spans=True)
    text = prompt + ANSWER
    assert len(found.spans) == len(found.ids)
    assert "".join(text[first:last] for first, last in found.spans) == text
    names = tokens.tokenizer.convert_ids_to_tokens(found.ids[1:])
    written = [name.replace("▁", " ").replace("Ġ", " ").strip() for name in names]
    assert written == [text[first:last].strip() for first, last in found.spans[1:]]


def test_what_stands_before_an_answer_is_not_the_answers(kind: str) -> None:
    tokens = Tokens(make(kind, bos=False))
    found = tokens.join(PROMPT, "Ada", lead=" Ad:")  # merges with the prompt, not with the answer
    assert found.ids[: len(tokens.ids(PROMPT))] == tokens.ids(PROMPT)
    assert tokens.tokenizer.decode(found.ids[found.answer_start :]) == "Ada"


@pytest.mark.parametrize("bos", [True, False])
def test_a_beginning_stands_once_or_not_at_all(kind: str, bos: bool) -> None:
    tokenizer = make(kind, bos=bos)
    tokens = Tokens(tokenizer)
    assert tokens.begin == ([0] if bos else [])
    assert tokens.ids("<s>Who").count(0) == 1  # a chat template writes it
    assert tokens.ids("Who").count(0) == int(bos)
    assert Tokens(tokenizer, special=False).ids("Who").count(0) == 0


def test_an_empty_prompt_and_an_empty_answer(kind: str) -> None:
    tokens = Tokens(make(kind, bos=False))
    assert tokens.join("", "Ada").answer_start == 0
    found = tokens.join(PROMPT, "")
    assert found.answer_start == len(found.ids) == len(tokens.ids(PROMPT))
    assert Prompts(tokens.tokenizer, "plain").encode("", "Ada").answer_start == 1  # a first token has no prediction


@pytest.mark.parametrize("chat", [None, CHAT])
def test_training_and_teacher_forcing_begin_with_what_generation_is_given(kind: str, chat: str | None) -> None:
    tokenizer = make(kind, bos=True)
    tokenizer.chat_template = chat
    prompts = Prompts(tokenizer, "auto" if chat else "plain")
    prompt = prompts.prompt("Who" if chat else PROMPT)
    trained, forced = prompts.encode(prompt, "Ada"), prompts.encode(prompt, "Ada", end="none")
    assert trained.ids == [*forced.ids, 1]
    assert trained.answer_start == forced.answer_start
    assert trained.ids[: trained.answer_start] == prompts.ids(prompt)


def test_answers_end_at_the_tokenizers_the_templates_and_the_models_tokens() -> None:
    from types import SimpleNamespace

    tokenizer = make("bpe", bos=False)
    prompts = Prompts(tokenizer)
    for configured, expected in [(None, {1}), (7, {1, 7}), ([7, 8], {1, 7, 8})]:
        model = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=configured))
        assert prompts.end_ids(model) == expected
    assert prompts.end_ids(SimpleNamespace(generation_config=None)) == {1}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("chat", [None, CHAT])
def test_a_given_text_is_joined_as_in_training_and_its_ending_is_known(kind: str, chat: str | None, end: str) -> None:
    tokenizer = make(kind, bos=True)
    tokenizer.chat_template = chat
    prompts = Prompts(tokenizer, "auto" if chat else "plain")
    prompt = prompts.prompt("Who" if chat else PROMPT)
    for text in ("Ada", "Ada?", "A"):
        joined = prompts.continued(prompt, text, end=end)
        assert joined.ids == prompts.encode(prompt, text, end=end).ids
        assert joined.ids[: joined.start] == prompts.ids(prompt)
        assert joined.ids[: len(joined.ids) - joined.ending] == prompts.encode(prompt, text, end="none").ids
        assert joined.ending == (end != "none")
    assert prompts.continued("", "Ada", end="none") == (prompts.ids("Ada"), 1, 0), "raw text has no space before it"
    begun = prompts.continued(prompt + " It is", "Ada", end="none", begun=True)
    assert tokenizer.decode(begun.ids, skip_special_tokens=True) == tokenizer.decode(
        prompts.ids(prompt + " It is Ada"), skip_special_tokens=True
    )
