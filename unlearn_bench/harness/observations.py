"""A store of answers, so that a killed run goes on where it was and ends with the identical result.

A sampled answer is drawn from a separate stream: its seed is made of the run's seed, the prompt and which document
and repeat it answers (`with_seeds`), so that it does not depend on what was generated before it in the same process.

Requests are sorted and cut into chunks; a chunk's answers are written together, and an unfinished chunk is generated
again as a whole. So every batch is made of the same prompts whether the run was interrupted or not, and every answer is
the same. A chunk's key holds the identity of model, adapter, dtype, batch size and code, each prompt and each setting:
answers of another checkpoint are never served. (lm-eval's own `use_cache` leaves the model out of its key.)
"""

import copy
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from unlearn_bench.files import write_atomically
from unlearn_bench.hashing import canonical_json, sha256_json

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance


class Request(Protocol):
    """What is asked: a prompt and its settings."""

    @property
    def args(self) -> tuple[str, Mapping[str, Any]]: ...


Generate = Callable[[Sequence[Any]], list[str]]


def question_seed(seed: int, prompt: str, document: int | None, repeat: int) -> int:
    """The seed of one sampled answer, in [0, 2^31).

    >>> question_seed(0, "Who?", 3, 0) == question_seed(0, "Who?", 3, 0) != question_seed(0, "Who?", 3, 1)
    True
    """
    identity = canonical_json([seed, without_surrogates(prompt), document, repeat])
    return int.from_bytes(hashlib.sha256(identity.encode("utf-8")).digest()[:4], "big") >> 1


def with_seeds(requests: Sequence["Instance"], seed: int, is_sampled: Callable[[Mapping], bool]) -> list["Instance"]:
    """The requests, each sampled one with a separate seed (the setting "seed").

    Args:
        requests: What is asked; lm-eval repeats a request itself, and each repetition is another draw.
        seed: The run's.
        is_sampled: Settings to whether they ask for a draw.
    """
    repeats: Counter[int] = Counter()
    seeded = []
    for request in requests:
        prompt, settings = request.args
        if is_sampled(settings):
            own = question_seed(seed, prompt, request.doc_id, repeats[id(request)])
            repeats[id(request)] += 1
            request = copy.copy(request)
            request.arguments = (prompt, {**settings, "seed": own})
        seeded.append(request)
    return seeded


class AnswerStore:
    """Answers on disk, by the hash of everything that may move them.

    Args:
        folder: Where chunks are kept; None keeps nothing.
        identity: What the answers depend on in addition to prompt and settings.
    """

    def __init__(self, folder: Path | None, identity: dict[str, object]) -> None:
        self.folder = folder
        self.identity = sha256_json(identity)
        self.reused = 0

    def answers(
        self,
        requests: Sequence[Request],
        generate: Generate,
        chunk_size: int,
        on_reused: Callable[[int], None] = lambda count: None,
        key: Callable[[Any], Any] | None = None,
    ) -> list[str]:
        """Serve the answers that are kept, generate the others, and keep each chunk of them.

        Args:
            requests: What is asked.
            generate: The model's own.
            chunk_size: Requests to a chunk.
            on_reused: Called with the number of answers of each chunk that was kept from before.
            key: What requests are sorted by; None: as suits generation.
        """
        order = sorted(range(len(requests)), key=lambda i: (key or _sort_key)(requests[i]))
        answers = [""] * len(requests)
        for start in range(0, len(order), chunk_size):
            chunk = order[start : start + chunk_size]
            before = self.reused
            for index, answer in zip(chunk, self._chunk(generate, [requests[i] for i in chunk]), strict=True):
                answers[index] = answer
            on_reused(self.reused - before)
        return answers

    def _chunk(self, generate: Generate, requests: list[Request]) -> list[str]:
        if self.folder is None:
            return generate(requests)
        key = sha256_json([self.identity, [[r.args[0], r.args[1]] for r in requests]])
        path = self.folder / f"{key}.json"
        kept = _read(path, len(requests))
        if kept is not None:
            self.reused += len(kept)
            return kept
        answers = [without_surrogates(answer) for answer in generate(requests)]
        write_atomically(path, [canonical_json(answers)])
        return answers


def without_surrogates(text: str) -> str:
    r"""Replace half characters, which a server's JSON can hold and no UTF-8 file can.

    >>> without_surrogates("Ada \ud800")
    'Ada ?'
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def _read(path: Path, count: int) -> list[str] | None:
    """Kept answers; None if there are none or the file is not what we wrote (it is then made again)."""
    try:
        answers = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    good = isinstance(answers, list) and len(answers) == count and all(isinstance(a, str) for a in answers)
    return answers if good else None


def _sort_key(request: Request) -> tuple[str, int, str, int]:
    """Equal settings together, long prompts first; the seeds of sampled requests must not scatter them."""
    prompt, settings = request.args
    shared = {key: value for key, value in settings.items() if key != "seed"}
    return canonical_json(shared), -len(prompt), prompt, settings.get("seed", 0)
