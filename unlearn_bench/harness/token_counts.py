"""How many tokens a text has, for logs that hold its log-likelihood and not their number."""

from pathlib import Path

from unlearn_bench.errors import UserError
from unlearn_bench.hashing import tokenizer_sha256


class TokenCounter:
    """Counts the tokens of continuations as lm-eval splits them: those of the whole text less those of the prompt.

    White space at the end of the prompt belongs to the continuation, and no special token is added.

    Args:
        folder: Of the tokenizer of the model that made the log.
        trust_remote_code: Run code that comes with it.

    Attributes:
        sha256: Hash of the tokenizer's files.
        texts: How many texts were counted.

    Raises:
        UserError: if the folder holds no usable tokenizer.
    """

    def __init__(self, folder: Path, *, trust_remote_code: bool = False) -> None:
        from unlearn_bench.models.loading import load_tokenizer

        if not folder.is_dir():
            raise UserError(f"--tokenizer {folder}: no such folder", hint="pass the folder that holds tokenizer.json")
        self._tokenizer = load_tokenizer(folder, str(folder), trust_remote_code=trust_remote_code)
        self.sha256 = tokenizer_sha256(folder)
        self.texts = 0

    def __call__(self, prompt: str, text: str) -> int:
        """Number of tokens of a text behind a prompt; behind no prompt, of all its tokens."""
        self.texts += 1
        return self._size(prompt + text) - self._size(prompt.rstrip())

    def _size(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))
