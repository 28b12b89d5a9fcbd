"""Who replies to a judge's questions: an endpoint, a checkpoint in this process, or only replies that were kept."""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from unlearn_bench.judges import asked
from unlearn_bench.judges.asked import Kind
from unlearn_bench.judges.verdicts import MAX_SAID, Identity, Kept, KeptFile, Line, key_of
from unlearn_bench.llm import ChatClient, LLMFailure, Messages
from unlearn_bench.scorers.base import Unscored

if TYPE_CHECKING:
    from unlearn_bench.models.chat import ChatModel
    from unlearn_bench.models.subject import Source as Checkpoint

LOCAL = "local"
MOST_TOKENS = 64  # of a local checkpoint's reply: the object has about 15
_SCHEMA = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["yes", "partly", "no"]},
        "grade": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
    },
    "required": ["verdict", "grade"],
    "additionalProperties": False,
}
_FORMS: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "verdict", "strict": True, "schema": _SCHEMA},
        }
    },
}
NOT_KEPT = Unscored("no_verdict_in_file")
OnReply = Callable[[int, str, tuple[int, int]], object]  # number of the request, reply, tokens


class Asks(Protocol):
    """Something that replies to requests."""

    identity: Identity

    def ask(self, requests: Sequence[Messages], on_reply: OnReply) -> Mapping[int, Unscored]:
        """Ask all; `on_reply` gets each reply as soon as it is there. Returns the requests that have none, and why."""


@dataclass
class Endpoint:
    """A chat model behind an OpenAI-compatible endpoint.

    Args:
        client: Asks it.
        identity: Without address, port and key.
    """

    client: ChatClient
    identity: Identity

    def ask(self, requests: Sequence[Messages], on_reply: OnReply) -> Mapping[int, Unscored]:
        """As `Asks.ask`.

        Raises:
            UserError: if no request can succeed.
        """
        form = _FORMS[self.client.json_mode]
        replies = self.client.answers(
            [(messages, form) for messages in requests],
            lambda number, answer: on_reply(number, answer.text or "", answer.tokens),
        )
        failed = {i: reply for i, reply in enumerate(replies) if isinstance(reply, LLMFailure)}
        return {i: Unscored(f"no_verdict: {failure.reason}") for i, failure in failed.items()}


@dataclass
class Local:
    """A checkpoint in this process, asked greedily; its replies are repeatable on one machine.

    Args:
        checkpoint: Embedded or packaged name, folder, GGUF file, or hub id.
    """

    checkpoint: str
    device: str | None = None
    batch_size: int = 32
    allow_pickle: bool = False
    trust_remote_code: bool = False

    @cached_property
    def _found(self) -> "Checkpoint":
        from unlearn_bench.models import subject

        return subject.find(self.checkpoint, allow_pickle=self.allow_pickle, trust_remote_code=self.trust_remote_code)

    @cached_property
    def identity(self) -> Identity:
        """With the hash of its weights.

        Raises:
            UserError: if it does not exist, or is not a checkpoint.
        """
        from unlearn_bench.models.identity import describe_files

        info = describe_files(self._found)
        return Identity(
            model=Path(info.name).name[:200],
            endpoint=f"weights {str(info.weights_sha256)[:16]}",
            temperature=0.0,
            json_mode="none",
            prompts=asked.version(),
        )

    @cached_property
    def _chat(self) -> "ChatModel":
        from unlearn_bench.models import subject
        from unlearn_bench.models.chat import ChatModel
        from unlearn_bench.models.devices import choose_scorer_device

        model, tokenizer = subject.load(
            self._found, device=choose_scorer_device(self.device), trust_remote_code=self.trust_remote_code
        )
        return ChatModel(model, tokenizer, what=f"--judge {self.checkpoint}", max_new_tokens=MOST_TOKENS)

    def ask(self, requests: Sequence[Messages], on_reply: OnReply) -> Mapping[int, Unscored]:
        """As `Asks.ask`; a batch at a time, so that a killed run loses no more than one."""
        none: dict[int, Unscored] = {}
        for start in range(0, len(requests), self.batch_size):
            batch = requests[start : start + self.batch_size]
            for number, said in enumerate(self._chat.replies(batch, batch_size=self.batch_size), start=start):
                if said is None:
                    none[number] = Unscored("no_verdict: prompt_too_long")
                else:
                    on_reply(number, said.text, said.tokens)
        return none


def host_of(address: str) -> str:
    """What a result may say of an address: the host of a public one, "local" for all others.

    >>> host_of("https://api.openai.com/v1"), host_of("http://127.0.0.1:8000/v1"), host_of("http://gpu-7:8000/v1")
    ('api.openai.com', 'local', 'local')
    """
    host = urlsplit(address).hostname or ""
    try:
        public = ipaddress.ip_address(host).is_global
    except ValueError:
        public = "." in host and not host.endswith((".local", ".internal", ".lan", ".localhost", ".localdomain"))
    return host[:200] if public else LOCAL


def judge_name(judge: str) -> str:
    """What a result may say of `--judge`: the host of a public address, the last part of a path, else the name.

    >>> judge_name("http://10.0.0.7:8000/v1"), judge_name("/models/qwen"), judge_name("smollm2-135m")
    ('local', 'qwen', 'smollm2-135m')
    """
    return (
        host_of(judge) if "://" in judge else judge if not Path(judge).expanduser().is_absolute() else Path(judge).name
    )


@dataclass
class Source:
    """Replies: kept ones, and where somebody can be asked, new ones.

    Args:
        kept: Replies, old and new.
        asks: Who is asked; None: only kept replies count.
        of: Whose replies count, where nobody is asked.
    """

    kept: "Kept | KeptFile"
    asks: Asks | None = None
    of: Identity | None = None

    @property
    def identity(self) -> Identity:
        """Whose replies these are."""
        found = self.asks.identity if self.asks is not None else self.of
        assert found is not None
        return found

    def kinds(self) -> tuple[Kind, ...]:
        """The judges of whom there are kept replies."""
        found = {line.asked for line in self.kept.lines() if line.judge == self.identity}
        return tuple(kind for kind in asked.KINDS if kind in found)

    def replies(self, kind: Kind, requests: Sequence[Messages], used: dict[str, bool]) -> list[str | Unscored]:
        """A reply to each request, or why there is none; equal requests are asked once, and none that was asked before.

        Args:
            kind: The judge that asks.
            requests: What is asked.
            used: Gets the keys of the replies, and whether each was asked now.

        Raises:
            UserError: if no request can succeed; replies received until then are kept.
        """
        keys = [key_of(self.identity, messages) for messages in requests]
        new = {key: messages for key, messages in zip(keys, requests, strict=True) if self.kept.get(key) is None}
        why = self._ask(kind, new)
        found = {key: self.kept.get(key) for key in keys}
        for key, line in found.items():
            if line is not None:
                used.setdefault(key, key in new)
        return [why.get(key, NOT_KEPT) if (line := found[key]) is None else line.said for key in keys]

    def _ask(self, kind: Kind, new: Mapping[str, Messages]) -> dict[str, Unscored]:
        if self.asks is None or not new:
            return {}
        keys = list(new)

        def keep(number: int, said: str, tokens: tuple[int, int]) -> None:
            self.kept.add(Line(key=keys[number], judge=self.identity, asked=kind, said=said[:MAX_SAID], tokens=tokens))

        return {keys[i]: reason for i, reason in self.asks.ask(list(new.values()), keep).items()}
