"""The writers `openai` and `hf`: a chat model writes the texts and may judge them. The prompts are data/prompts.json.

Every exchange is one JSON object out and one back, checked against a schema; what comes back in another form is a
failed try, never half a text. Questions and answers are written without sight of the sensitive answer; only the judge
sees it. A further try says what was wrong with the one before, and is another request, so that a cache can keep both.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from unlearn_bench.augment.rows import Failed, Judgement, Request, SensitivePair
from unlearn_bench.llm import LLMFailure, Messages, Usage

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
JUDGE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reasoning": {"type": "string"},
        "leaked": {"type": "array", "items": {"type": "string"}},
        "verdict": {"enum": ["leaks", "clean"]},
    },
    "required": ["reasoning", "leaked", "verdict"],
    "additionalProperties": False,
}


class Chat(Protocol):
    """The part of a chat client that writing needs (llm.ChatClient, local_chat.LocalChat)."""

    @property
    def name(self) -> str: ...

    @property
    def usage(self) -> Usage: ...

    def complete_json_many(
        self, requests: Sequence[Messages], *, schema: Mapping[str, Any]
    ) -> "list[dict[str, Any] | LLMFailure]": ...


@cache
def prompts() -> dict[str, Any]:
    """The instructions, read once; not to be changed."""
    return json.loads((Path(__file__).parent / "data" / "prompts.json").read_text(encoding="utf-8"))


class ChatWriter:
    """A chat model as a writer.

    Args:
        client: Answers chats with JSON objects, failures in their places.
        name: The writer's name in the provenance.
        seed: Part of every request, so that another seed gets other texts from an endpoint that samples.
    """

    tries = 5

    def __init__(self, client: Chat, *, name: str, seed: int = 0) -> None:
        self.name = f"{name}:{client.name}"
        self._client = client
        self._seed = seed

    def questions(self, requests: Sequence[Request]) -> list[str | Failed]:
        """Variants of questions."""
        return self._texts("question", requests)

    def answers(self, requests: Sequence[Request]) -> list[str | Failed]:
        """Vague answers."""
        return self._texts("answer", requests)

    def judge(self, pairs: Sequence[tuple[SensitivePair, str]]) -> list[Judgement | Failed]:
        """The model's verdicts; one that says "clean" and lists what leaked is taken for "leaks"."""
        chats = [
            self._chat(
                "judge",
                prompts()["judge"]["task"],
                {"question": source.question, "sensitive_answer": source.answer, "candidate": text},
            )
            for source, text in pairs
        ]
        replies = self._client.complete_json_many(chats, schema=JUDGE_SCHEMA) if chats else []
        return [_judgement(reply) for reply in replies]

    def usage(self) -> Mapping[str, int | float | None]:
        """Requests, tokens and cost so far."""
        return asdict(self._client.usage)

    def _texts(self, field: str, requests: Sequence[Request]) -> list[str | Failed]:
        schema = {"type": "object", "properties": {field: _TEXT}, "required": [field], "additionalProperties": False}
        chats = [self._request(field, request) for request in requests]
        replies = self._client.complete_json_many(chats, schema=schema) if chats else []
        return [_failed(r) if isinstance(r, LLMFailure) else " ".join(r[field].split()) for r in replies]

    def _request(self, field: str, request: Request) -> Messages:
        task = prompts()["question"][request.kind] if field == "question" else prompts()["answer"]["task"]
        texts: dict[str, object] = {"question": request.question, "variation": f"{self._seed}.{request.attempt}"}
        if request.problem is not None:
            texts["wrong_with_the_last_try"] = request.problem
        return self._chat(field, task, texts)

    def _chat(self, field: str, task: str, texts: Mapping[str, object]) -> Messages:
        # JSON-quoted, so that a text which reads like an instruction stays a text
        asked = {"task": task, "reply_with": prompts()[field]["form"], **texts}
        return [
            {"role": "system", "content": prompts()["system"]},
            {"role": "user", "content": json.dumps(asked, ensure_ascii=False)},
        ]


def _failed(failure: LLMFailure) -> Failed:
    return Failed(failure.reason, failure.detail)


def _judgement(reply: Mapping[str, Any] | LLMFailure) -> Judgement | Failed:
    if isinstance(reply, LLMFailure):
        return _failed(reply)
    return Judgement(reply["verdict"] == "leaks" or bool(reply["leaked"]), tuple(reply["leaked"]))
