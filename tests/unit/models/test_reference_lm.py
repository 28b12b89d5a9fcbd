"""Perplexity with tiny random causal models, against a plain loop over transformers, one text at a time."""

import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertModel,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from unlearn_bench.errors import UserError
from unlearn_bench.models.reference_lm import EMPTY_RESPONSE, MAX_MEAN_NLL, NAN_LOGITS, ReferenceLM

pytestmark = pytest.mark.slow

CHAT = (
    "{% for m in messages %}{% if m.role == 'user' %}[U] {{ m.content }} [/U]"
    "{% else %} {{ m.content }}<e>{% endif %}{% endfor %}"
)
SIZES = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 257,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZES, num_key_value_heads=2),
    "qwen2": Qwen2Config(**SIZES, num_key_value_heads=2),
    "gemma2": Gemma2Config(**SIZES, num_key_value_heads=2, head_dim=8, final_logit_softcapping=3.0),
    "gpt_neox": GPTNeoXConfig(**SIZES),
    "gpt2": GPT2Config(vocab_size=320, n_embd=32, n_layer=2, n_head=4, n_positions=128, initializer_range=0.3),
}
QUESTIONS = ["Where was she born?", "Who?", "What did the author of the long and winding novel win in 1998?", "Who?"]
RESPONSES = [
    "She was born in Lisbon.",
    "A",
    "at at at at at at at at",
    "Nobody knows, and it was a very long time ago indeed, in a town.",
]
PAIRS = list(zip(QUESTIONS, RESPONSES, strict=True))


def byte_tokenizer(*, chat: str | None = None, bos: bool = True) -> PreTrainedTokenizerFast:
    """One token per byte, merges of two letters, <s> before a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "a"), ("e", "r"), ("i", "n"), ("?", "Ġ")]  # the last would straddle question and response
    vocabulary = {token: i for i, token in enumerate(alphabet)} | {"<s>": 256, "<e>": 257}
    vocabulary |= {a + b: 258 + i for i, (a, b) in enumerate(merges)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 256)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>" if bos else None, eos_token="<e>")
    fast.chat_template = chat
    return fast


def make(folder: Path, kind: str = "llama", *, chat: str | None = None, bos: bool = True) -> Path:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(CONFIGS[kind]).save_pretrained(folder)
    byte_tokenizer(chat=chat, bos=bos).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def chat_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("chat"), chat=CHAT)


def slow_perplexity(folder: Path, context: list[int], response: list[int]) -> float:
    """exp(mean NLL), one token after the other, from full logits of one text."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([context + response])
    with torch.no_grad():
        log_probabilities = model(ids).logits[0].double().log_softmax(-1)
    nll = [-log_probabilities[t - 1, ids[0, t]].item() for t in range(len(context), ids.shape[1])]
    return math.exp(sum(nll) / len(nll))


def ids(text: str) -> list[int]:
    return byte_tokenizer()(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("kind", list(CONFIGS))
@pytest.mark.parametrize("batch_size", [1, 3])
def test_same_as_a_plain_loop(tmp_path: Path, kind: str, batch_size: int) -> None:
    make(tmp_path, kind)
    perplexities = ReferenceLM(str(tmp_path), batch_size=batch_size, device="cpu").perplexity(PAIRS)
    expected = [slow_perplexity(tmp_path, [256, *ids(q)], ids(" " + r)) for q, r in PAIRS]
    assert perplexities == pytest.approx(expected, rel=1e-5)
    assert len({round(p, 3) for p in perplexities}) == len(PAIRS)


def test_the_released_code_gives_the_same(folder: Path) -> None:
    """zjunlp/unlearn compute_ppl: loss over the tokens beyond those of the query; its responses begin with a space."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), byte_tokenizer()
    for question, response in PAIRS:
        query = question.rstrip("?")  # "? " would be one token across the border, see the next test
        n = len(tokenizer(query)["input_ids"])
        together = tokenizer(f"{query} {response}", return_tensors="pt")["input_ids"]
        labels = together.clone()
        labels[:, :n] = -100
        with torch.no_grad():
            released = math.exp(model(together, labels=labels).loss.item())
        assert ReferenceLM(str(folder)).perplexity([(query, " " + response)]) == pytest.approx([released], rel=1e-5)


def test_a_token_across_the_border_is_not_used(folder: Path) -> None:
    assert len(ids("Who? Me")) < len(ids("Who?")) + len(ids(" Me"))  # "?Ġ" is one token
    (value,) = ReferenceLM(str(folder)).perplexity([("Who?", "Me")])
    assert value == pytest.approx(slow_perplexity(folder, [256, *ids("Who?")], ids(" Me")), rel=1e-5)


def test_chat_template(chat_folder: Path, folder: Path) -> None:
    chat = ReferenceLM(str(chat_folder))
    expected = [slow_perplexity(folder, ids(f"[U] {q} [/U]"), ids(" " + r)) for q, r in PAIRS]
    assert chat.perplexity(PAIRS) == pytest.approx(expected, rel=1e-5)
    plain = ReferenceLM(str(chat_folder), prompt="plain").perplexity(PAIRS)
    assert plain == pytest.approx(ReferenceLM(str(folder)).perplexity(PAIRS), rel=1e-6)
    with pytest.raises(UserError, match="no chat template"):
        ReferenceLM(str(folder), prompt="chat").perplexity(PAIRS)
    with pytest.raises(UserError, match="should be one of"):
        ReferenceLM(str(folder), prompt="chatty")


def test_white_space_around_a_response_changes_nothing(chat_folder: Path, folder: Path) -> None:
    for lm in (ReferenceLM(str(folder)), ReferenceLM(str(chat_folder))):
        bare, spaced = lm.perplexity([("Who?", "Nobody."), ("Who?", " \n Nobody. \n")])
        assert bare == spaced


def test_todays_date_is_kept_out(tmp_path: Path, folder: Path) -> None:
    make(tmp_path, chat="{{ strftime_now('%d %b %Y') }}|{{ date_string }}|" + CHAT)
    (value,) = ReferenceLM(str(tmp_path)).perplexity([("Who?", "Me")])
    assert value == pytest.approx(
        slow_perplexity(folder, ids("26 Jul 2024|26 Jul 2024|[U] Who? [/U]"), ids(" Me")), rel=1e-5
    )


def test_a_template_that_refuses_is_told(tmp_path: Path) -> None:
    make(tmp_path, chat="{{ raise_exception('system first') }}")
    with pytest.raises(UserError, match="system first") as caught:
        ReferenceLM(str(tmp_path)).perplexity(PAIRS)
    assert "--ppl-prompt plain" in caught.value.hint


def test_collapsed_answers(folder: Path) -> None:
    values = ReferenceLM(str(folder)).perplexity([("Who?", ""), ("Who?", " \n\t"), ("Who?", "Me"), ("Who?", "at " * 9)])
    assert values[:2] == [EMPTY_RESPONSE, EMPTY_RESPONSE]
    assert all(isinstance(v, float) and v >= 1 for v in values[2:])
    assert ReferenceLM(str(folder)).perplexity([]) == []


def test_nan_logits_are_named_and_spare_their_neighbours(tmp_path: Path, folder: Path) -> None:
    """The embedding of "Z" is NaN: texts with a Z get NaN, texts in the same batch do not."""
    lm = ReferenceLM(str(make(tmp_path)))
    with torch.no_grad():
        lm.model.get_input_embeddings().weight[ids("Z")] = math.nan
    values = lm.perplexity([("Who?", "Zoe Z"), ("Who?", "Nobody")])
    assert values[0] == NAN_LOGITS
    assert values[1] == pytest.approx(ReferenceLM(str(folder)).perplexity([("Who?", "Nobody")])[0], rel=1e-5)


def test_an_excluded_token_is_hopeless_not_infinite(tmp_path: Path) -> None:
    """Twenty times larger logits: a token may get a probability of e^-1000, whose inverse no JSON holds."""
    lm = ReferenceLM(str(make(tmp_path)))
    with torch.no_grad():
        lm.model.get_output_embeddings().weight.mul_(1e4)
    (value,) = lm.perplexity([("Who?", "Nobody")])
    assert value == math.exp(MAX_MEAN_NLL)


TRIAL = 4  # tokens of the sequences by which a model is tried; they are not counted


def test_each_text_passes_the_model_once_and_logits_are_only_where_needed(folder: Path) -> None:
    lm, tokens, predicted = ReferenceLM(str(folder), device="cpu"), [], []
    lm.model.register_forward_hook(
        lambda _m, _a, kwargs, _out: tokens.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    lm.model.get_output_embeddings().register_forward_hook(lambda _m, _a, out: predicted.append(out.shape))
    question = "A rather long question about something, is it not?"
    lm.perplexity([(question, "Yes."), (question, "No."), (question, "Yes.")])
    shared = 1 + len(ids(question)) + 1  # <s>, the question, a space
    assert tokens[-1] == (1, shared + 3 + 2)  # "Yes." and "No." without their last tokens, which predict nothing
    assert predicted[-1][0] == 1 + 4 + 3 - 1, "one place predicts Y and N; behind the last tokens there is nothing"


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_what_texts_begin_with_passes_the_model_once(tmp_path: Path, kind: str) -> None:
    make(tmp_path, kind)
    lm, tokens = ReferenceLM(str(tmp_path), batch_size=2, device="cpu"), []
    lm.model.register_forward_hook(
        lambda _m, _a, kwargs, _out: tokens.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    start = "You are a helpful assistant. "
    pairs = [(start + question, response) for question, response in PAIRS[:2]]
    found = lm.perplexity(pairs)
    whole = [(256, *ids(question), *ids(" " + response)) for question, response in pairs]
    distinct = len({text[:n] for text in whole for n in range(1, len(text))})  # the last token predicts nothing
    assert sum(rows * width for rows, width in tokens if width > 2 * TRIAL) == distinct
    for (question, response), value in zip(pairs, found, strict=True):
        assert value == pytest.approx(slow_perplexity(tmp_path, [256, *ids(question)], ids(" " + response)), rel=1e-4)


def test_too_long_keeps_the_beginning_of_the_response(folder: Path) -> None:
    """A window of 128: <s>, the question's 4 tokens, and the first 123 tokens of 100,000 characters."""
    response = "xyz" * 33334
    (value,) = ReferenceLM(str(folder)).perplexity([("Who?", response)])
    context = [256, *ids("Who?")]
    assert value == pytest.approx(slow_perplexity(folder, context, ids(" " + response)[:123]), rel=1e-5)


def test_of_a_megabyte_only_what_the_window_may_hold_is_tokenized(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = ReferenceLM(str(folder))
    asked: list[int] = []
    encode = lm._encode
    monkeypatch.setattr(lm, "_encode", lambda *pair: (asked.append(len(pair[1])), encode(*pair))[1])
    long, longer, short = lm.perplexity([("Who?", "at " * n) for n in (2_000, 400_000, 300)])
    assert asked == [128 * 32, 900 - 1]
    assert long == longer == pytest.approx(short, rel=1e-6)


def test_too_long_keeps_the_end_of_the_question(folder: Path) -> None:
    """Both too long: of the window without <s>, 127 tokens, the question gets 63."""
    question, response = "uv" * 300 + "?", "xyz" * 300
    values = ReferenceLM(str(folder)).perplexity([(question, response), (question, "Me")])
    expected = slow_perplexity(folder, [256, *ids(question)[-63:]], ids(" " + response)[:64])
    assert values[0] == pytest.approx(expected, rel=1e-5)
    expected = slow_perplexity(folder, [256, *ids(question)[-124:]], ids(" Me"))  # 128 - 1 - 3
    assert values[1] == pytest.approx(expected, rel=1e-5)


def test_without_any_context_the_end_token_stands_in(tmp_path: Path) -> None:
    make(tmp_path, bos=False)
    (value,) = ReferenceLM(str(tmp_path)).perplexity([("", "Me")])
    assert value == pytest.approx(slow_perplexity(tmp_path, [257], ids(" Me")), rel=1e-5)


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    BertModel(BertConfig(vocab_size=320, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)).save_pretrained(
        tmp_path
    )
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="perplexity model"):
        ReferenceLM(str(tmp_path)).perplexity(PAIRS)


def test_the_fingerprint_follows_prompt_and_template(folder: Path, chat_folder: Path, tmp_path: Path) -> None:
    prints = [
        ReferenceLM(str(folder)).fingerprint,
        ReferenceLM(str(chat_folder)).fingerprint,  # the same weights with a template
        ReferenceLM(str(chat_folder), prompt="plain").fingerprint,
        ReferenceLM(str(folder), max_length=64).fingerprint,
        ReferenceLM(str(folder), dtype="bfloat16").fingerprint,
    ]
    assert len(set(prints)) == 5
    assert ReferenceLM(str(make(tmp_path)), batch_size=1).fingerprint == prints[0]


def test_released_is_the_released_code_to_the_letter(folder: Path) -> None:
    pairs = [*PAIRS, ("Who?", " Nobody."), ("Who?", "  "), ("Who?", "\n"), ("Who?", "Nobody.  "), ("Who", "? Ann")]
    tokenizer, model = byte_tokenizer(), AutoModelForCausalLM.from_pretrained(folder).eval()
    expected = []
    for question, response in pairs:  # zjunlp/unlearn, evals/evaluate.py, compute_ppl, written anew
        ids = torch.tensor([tokenizer(question + response)["input_ids"]])
        labels = ids.clone()
        labels[:, : len(tokenizer(question)["input_ids"])] = -100
        with torch.no_grad():
            expected.append(math.exp(model(ids, labels=labels).loss.item()))
    found = ReferenceLM(str(folder), prompt="released").perplexity([*pairs, ("Who?", "")])
    assert found[:-1] == pytest.approx(expected, rel=1e-4)
    assert found[-1] == EMPTY_RESPONSE
