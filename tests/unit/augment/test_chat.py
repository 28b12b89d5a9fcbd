"""The chat writer against a real HTTP server that fails: nothing is lost, nothing is invented."""

import json
from pathlib import Path

import pytest

from tests.tiny import tiny_model, tiny_tokenizer
from tests.unit.augment.chat_server import ChatServer
from unlearn_bench.augment.chat import ChatWriter, prompts
from unlearn_bench.augment.local_chat import LocalChat
from unlearn_bench.augment.pipeline import Augmented, AugmentSettings, augment
from unlearn_bench.augment.rows import VARIANTS, Failed, Request, SensitivePair
from unlearn_bench.errors import UserError
from unlearn_bench.llm import Backoff, ChatClient

pytestmark = pytest.mark.slow

SOURCES = [
    SensitivePair(str(i), f"Where was Ann Lee in year {i + 10}?", f"Ann Lee was in Oslo in year {i + 10}.")
    for i in range(3)
]
NOT_GENERIC = AugmentSettings(generic_ratio=0, judge=True)


def run(
    server: ChatServer, cache: Path | None = None, first_timeout: float = 60.0, **settings: object
) -> tuple[Augmented, ChatWriter]:
    def sleep(_seconds: float) -> None:
        client.timeout = 60.0

    client = ChatClient(
        "m",
        server.url,
        timeout=first_timeout,
        deadline=600.0,
        cache_dir=cache,
        prices=(1.0, 2.0),
        backoff=Backoff(retries=2, base=0.0, cap=0.0, sleep=sleep),
    )
    writer = ChatWriter(client, name="openai")
    return augment(SOURCES, writer, (), AugmentSettings(**settings) if settings else NOT_GENERIC), writer


def wanted(outcome: Augmented) -> int:
    """Answers there are plus texts that failed: 3 sources x (question + 4 variants) = 15."""
    return sum(row.kind != "completion" for row in outcome.rows) + len(outcome.failed)


def test_all_is_well():
    with ChatServer() as server:
        outcome, writer = run(server)
    assert (wanted(outcome), outcome.failed) == (15, [])
    # 12 variants, 15 answers, 15 verdicts; 10 and 5 tokens each, at 1 and 2 a million
    usage = writer.usage()
    assert (usage["calls"], usage["prompt_tokens"], usage["completion_tokens"]) == (42, 420, 210)
    assert usage["cost"] == pytest.approx((420 * 1 + 210 * 2) / 1e6)


@pytest.mark.parametrize("fault", [429, 500, "hang", "cut", "{broken", '{"wrong": "field"}'])
def test_a_passing_fault_loses_nothing_and_changes_nothing(fault):
    with ChatServer() as server:
        expected, _ = run(server)
    with ChatServer(steps=[fault]) as server:
        outcome, writer = run(server, first_timeout=0.5 if fault == "hang" else 60.0)
    assert [(r.id, r.text, r.answer) for r in outcome.rows] == [(r.id, r.text, r.answer) for r in expected.rows]
    assert writer.usage()["retries"] + writer.usage()["repairs"] >= 1


def test_a_refusal_is_a_failed_try_and_then_asked_again():
    refused = ChatServer(rule=lambda asked: "refuse" if asked.get("variation") == "0.0" else None)
    with refused as server:
        outcome, _ = run(server)
    assert outcome.failed == []
    assert {row.tries for row in outcome.rows} == {2}
    assert outcome.counts.refused == {"refusal": 27}  # 12 variants and 15 answers, once each


@pytest.mark.parametrize("fault", [500, "{broken", "refuse", "I cannot help with that."])
def test_what_never_works_is_listed_whatever_the_fault(fault):
    def noise_only(asked: dict[str, str]) -> object:
        return fault if asked["task"] == prompts()["question"]["noise"] else None

    with ChatServer(rule=noise_only) as server:
        outcome, _ = run(server, generic_ratio=0, tries=2)
    assert wanted(outcome) == 15
    assert [(f.kind, f.stage, len(f.reasons)) for f in outcome.failed] == [("noise", "question", 2)] * 3


def test_a_verdict_in_another_form_is_no_verdict():
    def verdict(asked: dict[str, str]) -> object:
        return '{"verdict": "unknown"}' if "candidate" in asked else None

    with ChatServer(rule=verdict) as server:
        outcome, _ = run(server, generic_ratio=0, judge=True, tries=1)
    assert outcome.rows == []
    assert {f.reasons for f in outcome.failed} == {("no_verdict: schema_mismatch",)}


def test_the_judge_sees_what_the_rules_do_not():
    def verdict(asked: dict[str, str]) -> object:
        hit = {"reasoning": "", "leaked": ["a hint"], "verdict": "clean"}  # contradicts itself: counted as a leak
        return json.dumps(hit) if asked.get("question") == SOURCES[0].question and "candidate" in asked else None

    with ChatServer(rule=verdict) as server:
        outcome, _ = run(server, generic_ratio=0, judge=True, tries=2)
    assert {(f.source_id, f.reasons[0]) for f in outcome.failed} == {("0", "judged_leak: a hint")}


def test_writers_never_see_the_sensitive_answer_and_the_judge_does():
    with ChatServer() as server:
        run(server)
    assert all(("sensitive_answer" in asked) == ("candidate" in asked) for asked in server.seen)
    assert not any("Oslo" in json.dumps(asked) for asked in server.seen if "candidate" not in asked)


def test_a_stopped_run_goes_on_from_the_cache(tmp_path):
    with ChatServer() as server:
        expected, _ = run(server)
    server = ChatServer(rule=lambda asked: 401 if "candidate" in asked else None)  # the key is refused on the way
    with server:
        with pytest.raises(UserError, match="refuses every request"):
            run(server, tmp_path)
        server.rule = None
        server.seen.clear()
        outcome, writer = run(server, tmp_path)
    assert [r.to_json(writer="w", seed=0) for r in outcome.rows] == [
        r.to_json(writer="w", seed=0) for r in expected.rows
    ]
    assert len(server.seen) == 15  # the verdicts only
    assert writer.usage()["cached"] == 27  # 12 variants and 15 answers


def test_a_second_seed_is_another_request():
    request = Request(SOURCES[0], "simple", SOURCES[0].question)
    client = ChatClient("m", "http://127.0.0.1:9/v1")
    chats = [ChatWriter(client, name="openai", seed=seed)._request("question", request) for seed in (0, 1)]
    assert chats[0] != chats[1]


class TestLocalModel:
    def test_a_model_that_does_not_speak_json_fails_every_text(self):
        chat = LocalChat(tiny_model(max_position_embeddings=2048), tiny_tokenizer(), name="tiny", max_new_tokens=8)
        outcome = augment(SOURCES[:1], ChatWriter(chat, name="hf"), (), AugmentSettings(generic_ratio=0, tries=2))
        assert outcome.rows == []
        assert [(f.kind, f.stage) for f in outcome.failed] == [
            *((kind, "question") for kind in VARIANTS),
            ("original_question", "answer"),
        ]
        assert chat.usage.calls == 10
        assert chat.usage.prompt_tokens > 0

    def test_words_around_the_object_are_left_out(self, monkeypatch):
        tokenizer = tiny_tokenizer()
        chat = LocalChat(tiny_model(max_position_embeddings=2048), tokenizer, name="tiny", max_new_tokens=4)
        said = iter(['Sure! {"answer": "Ann Lee keeps quiet."} Done.', "", '{"answer": 7}'])
        monkeypatch.setattr(tokenizer, "decode", lambda *args, **options: next(said))
        replies = ChatWriter(chat, name="hf").answers([Request(s, "original_question", s.question) for s in SOURCES])
        assert replies[0] == "Ann Lee keeps quiet."
        assert [r.reason for r in replies[1:] if isinstance(r, Failed)] == ["empty_content", "schema_mismatch"]

    def test_a_base_model_is_refused(self):
        with pytest.raises(UserError, match="has no chat template"):
            LocalChat(tiny_model(), tiny_tokenizer(chat=False), name="base")
