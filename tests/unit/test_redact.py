"""No part of a secret in what is shown, in whichever form it was said; and nothing else is hidden from an answer."""

import base64
import html
import json
import logging
import subprocess
import sys
from urllib.parse import quote, quote_plus

import pytest

from unlearn_bench import redact

KEY = "sk-MARKED/Qx7+Zt2=Lw9-Vb4_Np6Rk8"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setattr(redact, "_registered", set())
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    redact.register(KEY)


def _shows(text: str, secret: str = KEY) -> list[str]:
    return [secret[i : i + 8] for i in range(len(secret) - 7) if secret[i : i + 8].lower() in text.lower()]


FORMS = {
    "plain": KEY,
    "upper case": KEY.upper(),
    "quoted": quote(KEY, safe=""),
    "quoted plus": quote_plus(KEY),
    "html": html.escape(KEY),
    "json": json.dumps(KEY),
    "hex": KEY.encode().hex(),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 url": base64.urlsafe_b64encode(KEY.encode()).decode(),
    "basic": base64.b64encode(f"user:{KEY}".encode()).decode(),
    "basic of another length": base64.b64encode(f"me:{KEY}@".encode()).decode(),
    "broken by a line": f"{KEY[:9]}\n    {KEY[9:]}",
    "broken by invisible characters": "\u200b".join(KEY),
    "spelled": " ".join(KEY),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("clean", [redact.redact, redact.redact_answer, redact.brief])
def test_every_form_of_a_secret_is_hidden(form, clean):
    said = clean(f"before {FORMS[form]} after")
    left = said.removeprefix("before ").removesuffix(" after")
    assert redact.MASK in left
    assert len(left.replace(redact.MASK, "").strip('"')) <= 10, left  # base64 of what stands around it, at its seams


@pytest.mark.parametrize("cut", range(8, len(KEY)))
def test_parts_of_a_secret_are_hidden(cut):
    assert _shows(redact.redact(f"the key {KEY[:cut]}")) == []
    assert _shows(redact.redact(f"…{KEY[-cut:]} is wrong")) == []


@pytest.mark.parametrize("before", range(260, 330, 3))
def test_what_is_cut_was_redacted_first(before):
    said = redact.brief("x " * (before // 2) + KEY)
    assert len(said) <= 300
    assert _shows(said) == []


def test_a_long_message_is_cut_before_it_is_searched():
    assert _shows(redact.brief("x" * 19_990 + KEY, limit=30_000)) == []


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("{'Authorization': 'Bearer abc', 'a': 1}", "{'Authorization': 'Bearer ***', 'a': 1}"),
        ("[(b'Authorization', b'Bearer abcdefgh12')]", "[(b'Authorization', b'Bearer ***')]"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic ***"),
        ("x-api-key: abc", "x-api-key: ***"),
        ("http://user:pass@host/v1", "http://***@host/v1"),
        ("GET http://host/v1?a=1&api_key=abc&b=2", "GET http://host/v1?a=1&api_key=***&b=2"),
        ("https://host/v1?access_token=abc", "https://host/v1?access_token=***"),
        ("token hf_abcdefghijklmnop is invalid", "token *** is invalid"),
        ("Incorrect: sk-proj-abcdefghijklmnop.", "Incorrect: ***."),
        ("see http://host/a and mail me@host", "see http://host/a and mail me@host"),
        ("the key in OPENAI_API_KEY is missing", "the key in OPENAI_API_KEY is missing"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_messages(said, shown):
    assert redact.redact(said) == shown


@pytest.mark.parametrize("name", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MY_API_KEY", "DB_PASSWORD", "CLIENT_SECRET"])
def test_secrets_of_the_environment_are_hidden(name, monkeypatch):
    monkeypatch.setenv(name, "q8Zr4-Yt6Wm2")
    assert redact.redact("got q8Zr4-Yt6Wm2 there") == "got *** there"
    monkeypatch.setenv(name, "/home/ann/models")
    assert redact.redact("no folder /home/ann/models") == "no folder /home/ann/models"


def test_a_short_key_is_hidden_as_a_word_and_a_placeholder_is_none():
    redact.register("qx77z")
    for placeholder in ("no", "EMPTY", "none"):
        redact.register(placeholder)
    assert redact.redact("no key qx77z, aqx77zb: none, EMPTY") == "no key ***, aqx77zb: none, EMPTY"


def test_an_answer_keeps_the_words_that_a_key_has_in_it_too():
    redact.register("local-development-server")
    answer = "The development of a local server took years: local development, server rooms."
    assert redact.redact_answer(answer) == answer
    assert redact.redact_answer("key local-development-server") == "key ***"


@pytest.mark.parametrize("text", ["", "Ada", "Zoë Łukasz 李 \ud800", "İstanbul ẞ ﬃ " * 5])
def test_other_texts_are_left_as_they_are(text):
    assert redact.redact(text) == redact.redact_answer(text) == text


def test_log_records_carry_no_secret(caplog):
    logger = logging.getLogger("elsewhere")
    caplog.set_level(logging.DEBUG)
    with redact.guarded():
        logger.warning("sent %s", KEY)
        try:
            raise ValueError(KEY)
        except ValueError:
            logger.exception("failed")
        shown = caplog.text
    assert shown.count("***") >= 2
    assert _shows(shown) == []
    logger.warning("sent %s", "after")
    assert caplog.records[-1].args == ("after",)


def test_a_traceback_carries_no_secret():
    code = (
        "from unlearn_bench import redact\n"
        f"redact.register({KEY!r})\n"
        "with redact.guarded():\n"
        f"    raise ValueError('sent ' + {KEY!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ValueError: sent ***" in done.stderr
    assert _shows(done.stderr) == []


def test_the_command_line_shows_no_secret_of_an_error(monkeypatch, capsys):
    from unlearn_bench.cli import main, tasks
    from unlearn_bench.errors import UserError

    def fail(args: object) -> int:
        raise UserError(f"https://user:{KEY}@host is not there, headers Authorization: Bearer {KEY}", hint=KEY)

    monkeypatch.setattr(tasks, "run", fail)
    assert main(["tasks"]) == 2
    assert _shows(capsys.readouterr().err) == []
