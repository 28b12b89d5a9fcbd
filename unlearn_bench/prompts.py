"""How a question becomes a prompt.

`chat`: the tokenizer's chat template. `qa`: "Question: …", a new line and "Answer:", TOFU's prompt for base models
(phi). `tofu`: "[INST] … [/INST]", TOFU's prompt for Llama-2-chat. `plain`: the question alone. `auto`: the chat
template where there is one, else `qa`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from unlearn_bench.fingerprint import sha256_json
from unlearn_bench.registry import did_you_mean
from unlearn_bench.schema import PromptInfo

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STYLES = {"qa": "Question: {question}\nAnswer:", "tofu": "[INST] {question} [/INST]", "plain": "{question}"}
CHOICES = ("auto", "chat", *STYLES)


def build(question: str, *, style: str, chat_template: Callable | None, system: str | None = None) -> str:
    """Make the prompt of one question.

    Args:
        question: The text that is asked.
        style: One of `CHOICES`.
        chat_template: Turns a list of messages into a prompt; None where the model has none, or none is to be used.
        system: A system message; put before the question in plain styles.
    """
    if chat_template is not None and style in ("auto", "chat"):
        messages = [{"role": "system", "content": system}] if system else []
        return chat_template([*messages, {"role": "user", "content": question}])
    if style not in CHOICES:
        raise did_you_mean("prompt style", style, CHOICES)
    prompt = STYLES["qa" if style in ("auto", "chat") else style].format(question=question)
    return f"{system}\n\n{prompt}" if system else prompt


def answer_separator(tokenizer: "PreTrainedTokenizerBase", *, chat: bool, prompt: str) -> str:
    """What stands between a prompt and an answer that is given to the model: training and teacher forcing need it.

    Args:
        tokenizer: The model's tokenizer.
        chat: Whether the prompt is in the chat template; a space stands after the other styles.
        prompt: The prompt of the question "?".

    Returns:
        In chat form what the template itself writes there; nothing where it rewrites the prompt.
    """
    if not chat:
        return " "
    probe = "ANSWER"
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": probe}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    return whole[len(prompt) : whole.index(probe)] if whole.startswith(prompt) and probe in whole else ""


def info(style: str, template: str | None, *, first_answer: bool, system: str | None = None) -> PromptInfo:
    """What a result records of its prompts; `template` is the chat template's text, None where none was used."""
    plain = None if template else STYLES["qa" if style in ("auto", "chat") else style]
    recipe = {"template": template or plain, "system": system, "first_answer": first_answer}
    return PromptInfo(
        template_sha256=sha256_json(recipe), chat_template=template is not None, style="chat" if template else style
    )
