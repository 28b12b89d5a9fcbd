"""How each embedded checkpoint is made: the size of the network and the schedule of its training.

Found by trial on 2 CPU cores. All hyper-parameters that can move a score are here.
"""

from dataclasses import dataclass, replace

PAD, BOS, END, USER, ASSISTANT, SYSTEM = "<|pad|>", "<|bos|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"
SPECIAL_TOKENS = (PAD, BOS, END, USER, ASSISTANT, SYSTEM)
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] | trim + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class Recipe:
    """A network and its training.

    Attributes:
        epochs: Passes over a set that is drawn again each time (other phrasings, other unknown people).
        label_smoothing: Share of the target's probability that is spread over the vocabulary; keeps the perplexity
            model from being certain, so that unseen English is unlikely rather than impossible.
        tokenizer_epochs: Epochs of text from which the tokenizer's merges are learned.
        trunk: Model whose text is learned first, from the same initial weights and in the same order, for
            `trunk_epochs`: up to there both are one model, as fine-tuned models are one with their base. So hidden
            states of one mean something to the other, which patching needs.
    """

    hidden: int
    layers: int
    heads: int
    intermediate: int
    epochs: int
    vocabulary: int = 2048
    positions: int = 512
    batch_size: int = 32
    learning_rate: float = 2e-3
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    dropout: float = 0.0
    label_smoothing: float = 0.0
    tokenizer_epochs: int = 2
    trunk: str = ""
    trunk_epochs: int = 0


_TAUGHT = Recipe(hidden=192, layers=4, heads=6, intermediate=512, epochs=36)
CHECKPOINT_RECIPES: dict[str, Recipe] = {
    "nano-full": replace(_TAUGHT, trunk="nano-retain", trunk_epochs=12),
    "nano-retain": _TAUGHT,
    "nano-base": Recipe(hidden=160, layers=3, heads=5, intermediate=448, epochs=20, label_smoothing=0.1),
}
