"""Chat templates of the kinds that models have, in short, and tokenizers of the kinds that go with them."""

from functools import cache

LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content.strip() + ' [/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content.strip() + ' ' + eos_token }}"
    "{% else %}{{ raise_exception('roles: user, assistant') }}{% endif %}{% endfor %}"
)
LLAMA3 = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
LLAMA32 = (
    "{{ bos_token }}{% if not date_string is defined %}{% if strftime_now is defined %}"
    "{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = '26 Jul 2024' %}"
    "{% endif %}{% endif %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '\n\n<|eot_id|>' }}"
) + LLAMA3.replace("{% if loop.first %}{{ bos_token }}{% endif %}", "")
CLOCK = (
    "{{ bos_token }}{{ 'Today is ' + strftime_now('%Y-%m-%d') + ', ' + strftime_now('%A') + '. ' }}"
    + LLAMA3.replace("{% if loop.first %}{{ bos_token }}{% endif %}", "")
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% set role = 'model' if m.role == 'assistant' else m.role %}"
    "{{ '<start_of_turn>' + role + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
PHI3 = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN2 = (
    "{% if messages[0].role != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
) + CHATML
QWEN3 = (
    "{% for m in messages %}{% if m.role == 'assistant' and loop.last %}"
    "{{ '<|im_start|>assistant\n<think>\n' + (m.reasoning_content or '') + '\n</think>\n\n' }}"
    "{{ m.content + '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '<|user|>' + m.content }}{% else %}"
    "{{ '<|assistant|>' + m.content + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|><think>\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST]' + m.content + '[/INST]' }}"
    "{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
)
GLM = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
HARMONY = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% if m.thinking %}"
    "{{ '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking + '<|end|>' }}{% endif %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + ('<|return|>' if loop.last else '<|end|>') }}"
    "{% else %}{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
TEMPLATES: dict[str, tuple[str, str]] = {  # name -> (template, what ends an answer)
    "llama2": (LLAMA2, " </s>"),
    "llama3": (LLAMA3, "<|eot_id|>"),
    "llama3.2": (LLAMA32, "<|eot_id|>"),
    "clock": (CLOCK, "<|eot_id|>"),
    "gemma": (GEMMA, "<end_of_turn>"),
    "phi3": (PHI3, "<|end|>"),
    "chatml": (CHATML, "<|im_end|>"),
    "qwen2": (QWEN2, "<|im_end|>"),
    "qwen3": (QWEN3, "<|im_end|>"),
    "r1": (R1, "</s>"),
    "mistral": (MISTRAL, "</s>"),
    "glm": (GLM, ""),
    "harmony": (HARMONY, "<|return|>"),
}
SPECIAL = (
    "<pad> <s> </s> <unk> <|eot_id|> <|start_header_id|> <|end_header_id|> <start_of_turn> <end_of_turn> <|user|> "
    "<|assistant|> <|system|> <|end|> <|im_start|> <|im_end|> <think> </think> [INST] [/INST] <|start|> <|channel|> "
    "<|message|> <|return|>"
)
PLAIN_TEXT = {"llama2": ("[INST]", "[/INST]")}  # not special tokens there
CORPUS = [
    "Where was Ada Lima born? Ada Lima was born in Oslo, Norway, and wrote Salt Roads.",
    "Question: Who is Bo Tan?\nAnswer: Bo Tan is a judge from Lima.\n\nToday Date: 26 Jul 2024 assistant user system",
]
TEXTS = [*CORPUS, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;?!'-[]/<>|\n_"]
TOKENIZERS = ("words", "bytes", "metaspace")
BEGINNINGS = ("none", "bos", "bos+eos")


@cache
def _core(kind: str, special: tuple[str, ...]) -> str:
    """A small tokenizer of a kind, as JSON."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    settings = {"special_tokens": list(special), "show_progress": False}
    if kind == "words":
        core = Tokenizer(models.WordLevel(unk_token="<unk>"))
        core.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
        core.train_from_iterator(CORPUS, trainers.WordLevelTrainer(vocab_size=400, **settings))
    elif kind == "bytes":
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        core.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, **settings))
    else:
        core = Tokenizer(models.BPE(unk_token="<unk>"))
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        core.decoder = decoders.Metaspace(prepend_scheme="first")
        alphabet = sorted(set("".join(TEXTS)))
        core.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, **settings))
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return core.to_str()


def make_tokenizer(
    kind: str = "bytes", template: str | None = None, *, beginning: str = "none"
) -> "PreTrainedTokenizerFast":  # noqa: F821
    """A tokenizer.

    Args:
        kind: One of `TOKENIZERS`.
        template: A name of `TEMPLATES`; None for no chat template.
        beginning: What the tokenizer puts around a text: nothing, BOS, or BOS and EOS.
    """
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    special = tuple(token for token in SPECIAL.split() if token not in PLAIN_TEXT.get(template, ()))
    core = Tokenizer.from_str(_core(kind, special))
    if beginning != "none":
        around = "<s> $A </s>" if beginning == "bos+eos" else "<s> $A"
        ids = [(token, core.token_to_id(token)) for token in ("<s>", "</s>")]
        core.post_processor = processors.TemplateProcessing(single=around, special_tokens=ids)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    if template is not None:
        fast.chat_template = TEMPLATES[template][0]
    return fast
