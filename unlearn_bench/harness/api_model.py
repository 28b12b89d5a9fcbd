"""A model behind an OpenAI-compatible chat server, as lm-eval sees it.

Where it differs from lm-eval's `local-chat-completions`: it is this package's own client, so that no key reaches a
terminal; each question is a separate request and expects exactly one choice, so answers cannot change places; the
run's seed is sent; settings that only restate the default are not sent, since strict servers refuse fields they do not
know; and a missing answer is marked as such (`answer.not_given`), never returned as an empty one.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import LM

from unlearn_bench.errors import UserError
from unlearn_bench.llm import Backoff, ChatClient, Completion, LLMFailure, Messages, PlainText
from unlearn_bench.redact import register
from unlearn_bench.registry import did_you_mean
from unlearn_bench.text import answer

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

NOT_GIVEN = "no_answer_from_server: "
_MOST_STOPS = 4  # more stop texts the API does not take; the answer is cut at all of them here
_LONGEST_TOKEN = 128  # characters: an answer with more for each token that was asked for ignores the limit
_RESTATED = {"repetition_penalty": 1.0}
_SETTINGS = frozenset({"until", "do_sample", "max_gen_toks", "temperature"})
_KEY_ARGUMENT = re.compile(r"(key|token|auth|headers?|password|secret)$", re.IGNORECASE)
_OMITTABLE = ("seed", "temperature", "top_p", "top_k", "stop", "repetition_penalty")


class Chat(str):
    """A conversation as lm-eval carries it: its text, and the messages that are sent."""

    messages: Messages

    def __new__(cls, messages: Messages) -> "Chat":
        chat = super().__new__(cls, json.dumps([dict(m) for m in messages], ensure_ascii=False))
        chat.messages = [dict(m) for m in messages]
        return chat

    def __reduce__(self) -> tuple[type, tuple[Messages]]:
        return Chat, (self.messages,)


class ChatServerLM(LM):
    """A chat server.

    Args:
        model: Its name at the server.
        base_url: The server's address, with or without `/v1` and `/chat/completions`.
        seed: Sent with every request, so that another seed is another draw; a question asked again gets the same.
        kept: Folder of answers received so far; None keeps none.
        num_concurrent: Requests under way at the same time.
        max_retries: Tries after the first, where a later one may succeed.
        timeout: Seconds without a byte.
        deadline: Seconds for one whole exchange; five times `timeout` if left out.
        max_missing: Largest share of questions without an answer that is still a result.
        omit: Settings that the server does not take, joined by "+": seed, temperature, top_p, top_k, stop.
        max_tokens_field: What the server calls the limit; some want max_completion_tokens.
        api_key_env: Environment variable with the key.

    Attributes:
        missing: Reason to number of answers that were not given.
        on_finish: Called with the number of answers just received.

    Raises:
        UserError: if no address is given, or a setting is impossible.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        seed: int = 0,
        kept: Path | None = None,
        num_concurrent: int = 8,
        max_retries: int = 5,
        timeout: float = 120.0,
        deadline: float | None = None,
        max_missing: float = 0.1,
        omit: str = "",
        max_tokens_field: str = "max_tokens",
        api_key_env: str = "OPENAI_API_KEY",
    ) -> None:
        super().__init__()
        if not base_url:
            raise UserError(
                "--backend api: no server address", hint="pass --model-args base_url=http://localhost:8000/v1"
            )
        self._omit = _omitted(omit)
        self._client = ChatClient(
            model,
            base_url,
            api_key_env,
            {} if "seed" in self._omit else {"seed": seed},
            concurrency=_number("num_concurrent", num_concurrent, 1, 1024, int),
            timeout=_number("timeout", timeout, 0.01, 86_400),
            deadline=None if deadline is None else _number("deadline", deadline, 0.01, 86_400),
            cache_dir=kept,
            backoff=Backoff(retries=_number("max_retries", max_retries, 0, 100, int), base=0.5, cap=30.0),
        )
        self._seed = seed
        self._max_missing = _number("max_missing", max_missing, 0, 1)
        self._max_tokens_field = max_tokens_field
        self.missing: Counter[str] = Counter()
        self.on_finish: Callable[[int], None] = lambda _: None

    @property
    def tokenizer_name(self) -> str:
        """Name of the server's template, for lm-eval's request cache."""
        return self._client.model

    @property
    def notes(self) -> list[str]:
        """What the reader of the result should know."""
        notes = [f"not sent to the server: {', '.join(self._omit)} (omit)"] if self._omit else []
        if self.missing:
            reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.missing.items()))
            notes.append(f"the server gave no answer to {self.missing.total()} questions, unscored: {reasons}")
        return notes

    def apply_chat_template(self, chat_history: Messages, add_generation_prompt: bool = True) -> Chat:
        """The messages themselves: the server has the template."""
        return Chat(chat_history)

    def loglikelihood(self, requests: Sequence["Instance"], disable_tqdm: bool = False) -> list[Any]:
        """Refused: chat servers give no log-probabilities of a text.

        Raises:
            UserError: always.
        """
        raise UserError(
            "a task wants log-probabilities, and a chat server gives none",
            hint="run it with --backend hf or vllm; a server that echoes log-probabilities gives them with "
            "--model-args endpoint=completions and --tokenizer FOLDER",
        )

    loglikelihood_rolling = loglikelihood

    def generate_until(self, requests: Sequence["Instance"], disable_tqdm: bool = False) -> list[str]:
        """One request per question, in the order of the questions.

        Raises:
            UserError: if the server answers no request, or too few; answers received until then are kept.
        """
        seen: Counter[int] = Counter()
        asks = []
        for request in requests:
            context, settings = request.args
            asks.append((self._sent(context), self._parameters(settings, seen[id(request)])))
            seen[id(request)] += 1  # lm-eval repeats the request itself: each repetition is another draw
        said = self._ask(asks)
        answers = [_generation(s, r.args[1]) for s, r in zip(said, requests, strict=True)]
        self._count_missing("questions", list(map(_reason, answers)), said)
        return answers

    def _sent(self, context: str) -> Messages | PlainText:
        return context.messages if isinstance(context, Chat) else [{"role": "user", "content": str(context)}]

    def _ask(self, asks: Sequence[tuple[Messages | PlainText, Mapping[str, Any]]]) -> list[Completion | LLMFailure]:
        done = 0

        def progress(count: int, _wanted: int) -> None:
            nonlocal done
            self.on_finish(count - done)
            done = count

        self._client.progress = progress
        said = self._client.answers(asks)
        self.on_finish(len(asks) - done)  # equal requests were asked once
        return said

    def _parameters(self, settings: Mapping[str, Any], repetition: int) -> dict[str, Any]:
        """lm-eval's generation settings in the API's words."""
        limit = settings.get("max_gen_toks", 256)
        sent = {self._max_tokens_field: limit, "temperature": 0.0}
        if settings.get("do_sample"):
            sent["temperature"] = settings.get("temperature", 1.0)
        if stops := _stops(settings)[:_MOST_STOPS]:
            sent["stop"] = stops
        if repetition:
            sent["seed"] = self._seed + repetition
        rest = {key: value for key, value in settings.items() if key not in _SETTINGS}
        sent |= {key: value for key, value in rest.items() if _RESTATED.get(key) != value}
        return {key: value for key, value in sent.items() if key not in self._omit}

    def _count_missing(self, what: str, reasons: Sequence[str | None], said: Sequence[Completion | LLMFailure]) -> None:
        """Note what was not answered, and why; too much of it is an error."""
        gone = [reason for reason in reasons if reason]
        self.missing += Counter(gone)
        if len(gone) <= self._max_missing * len(reasons):
            return
        detail = next((f" ({s.detail})" for s in said if isinstance(s, LLMFailure) and s.detail), "")
        counted = ", ".join(f"{reason} {count}" for reason, count in self.missing.most_common())
        raise UserError(
            f"the server gave no answer to {len(gone)} of {len(reasons)} {what}: {counted}{detail}",
            hint=f"{_advice(self.missing)}; answers received are kept, and the same command asks for the others; "
            "--model-args max_missing=1 scores without them",
        )


def _reason(generation: str) -> str | None:
    """Why a generation is not an answer, in one word; None if it is one."""
    missing = answer.read(generation).missing
    return missing and missing.removeprefix(NOT_GIVEN)


def _advice(missing: Mapping[str, int]) -> str:
    if answer.NO_ANSWER in missing:
        return "raise --max-gen-toks, so that the model ends its reasoning"
    if any(reason in ("http_400", "http_422") for reason in missing):
        return "if the server does not take a setting, --model-args omit=seed leaves it out"
    return "look at the server's own log"


def _stops(settings: Mapping[str, Any]) -> list[str]:
    until = settings.get("until") or []
    return [text for text in ([until] if isinstance(until, str) else until) if text]


def _generation(said: Completion | LLMFailure, settings: Mapping[str, Any]) -> str:
    """What a local model would have generated: thoughts in their markers, the answer up to the first stop text."""
    if isinstance(said, LLMFailure):
        return answer.not_given(NOT_GIVEN + said.reason)
    limit = int(settings.get("max_gen_toks", 256)) * _LONGEST_TOKEN
    if len(said.text) > limit:
        return answer.not_given(NOT_GIVEN + "longer_than_asked")
    text = _no_nul(said.text)
    for stop in _stops(settings):
        text = text.partition(stop)[0]
    return answer.join(text, _no_nul(said.thinking or ""))


def _no_nul(text: str) -> str:
    """A server must not be able to say what only `answer.not_given` says."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _omitted(given: object) -> tuple[str, ...]:
    names = tuple(filter(None, str(given or "").split("+")))
    for name in names:
        if name not in _OMITTABLE:
            raise did_you_mean("setting to omit", name, _OMITTABLE)
    return names


def _number(name: str, value: object, least: float, most: float, kind: type = float) -> Any:
    good = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if not good or kind(value) != value:
        raise UserError(f"--model-args {name}: expected {kind.__name__} from {least:g} to {most:g}, got {value!r}")
    return kind(value)


_ARGUMENTS = (
    *("base_url", "num_concurrent", "max_retries", "timeout", "deadline", "max_missing", "omit", "max_tokens_field"),
    "api_key_env",
)


def load(model: str, arguments: Mapping[str, object], *, seed: int, kept: Path | None) -> ChatServerLM:
    """A chat server from the command line's arguments.

    Raises:
        UserError: for an unknown argument, or one that holds a key.
    """
    check_arguments(arguments)
    return ChatServerLM(model, seed=seed, kept=kept, **arguments)


def check_arguments(arguments: Mapping[str, object], more: Sequence[str] = ()) -> None:
    """Refuse arguments of the command line that no server takes, and those that hold a key.

    Args:
        arguments: By name.
        more: Names that are known, too.

    Raises:
        UserError: for the first such argument.
    """
    for name, value in arguments.items():
        if name in (*_ARGUMENTS, *more):
            continue
        if _KEY_ARGUMENT.search(name):
            register(str(value))
            raise UserError(
                f"--model-args {name}: a key on the command line is seen by everybody on the machine",
                hint="export OPENAI_API_KEY=…; --model-args api_key_env=NAME names another variable",
            )
        raise did_you_mean("argument of --backend api in --model-args", name, ("endpoint", *_ARGUMENTS, *more))
