"""A chat template is tried before it is used: within limits of time, memory and length."""

import gc
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.tiny import CHAT_TEMPLATE, tiny_tokenizer
from unlearn_bench.errors import UserError
from unlearn_bench.models import _template
from unlearn_bench.models._template import check_template

pytestmark = pytest.mark.slow

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def check(template):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    check_template(tokenizer, "model m", "do without")


@pytest.mark.parametrize(
    "template",
    [
        None,
        CHAT_TEMPLATE,
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ m.content }}"
        "{% endfor %}",
        "{{ strftime_now('%d %b %Y') }}{{ bos_token }}{{ messages[0]['content'] | trim }}",
        "{% if messages | length > 1 %}{{ raise_exception('one question') }}{% endif %}{{ messages[0].content }}",
        "x" * 50_000 + "{{ messages[0].content }}",
    ],
)
def test_honest_templates_pass(template):
    check(template)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('system first') }}", "cannot be used: TemplateError: system first"),
        ("{% for m in messages %}", "cannot be used: TemplateSyntaxError"),
        ("{{ messages[9].content }}", "cannot be used: UndefinedError"),
        ("{{ messages[0].content | nofilter }}", "cannot be used: TemplateAssertionError"),
        ("{{ 1 // 0 }}", "cannot be used: ZeroDivisionError"),
        ("{% for a in range(99999) %}{{ '12345678' * 7 }}{% endfor %}", "writes 5,599,944 characters"),
        # more than any process of these tests has freed and kept: that would be no growth
        ("{{ '%2000000000d' % 1 }}", "needs more than 256 MiB"),
        ("{{ 'x' * 90000000000 }}", "needs more than 256 MiB"),
        ("{% set n = namespace(x='ab') %}{% for a in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}", "needs more"),
    ],
)
def test_hostile_templates_are_one_line(template, words):
    with pytest.raises(UserError, match=words) as caught:
        check(template)
    assert "\n" not in caught.value.message
    assert caught.value.hint == "do without"


def test_the_limit_is_256_mib_beyond_what_a_new_process_has():
    code = (
        "from tests.unit.models.test_templates import check\n"
        "from unlearn_bench.errors import UserError\n"
        "check(\"{{ 'x' * 100000 }}\")\n"
        "try:\n    check(\"{{ 'x' * 300000000 }}\")\n"
        "except UserError as error:\n    print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "needs more than 256 MiB" in done.stdout


def test_garbage_of_the_parent_is_not_collected_in_the_trial():
    assert gc.isenabled()
    assert _template._limited(lambda _: f"collects: {gc.isenabled()}", None) == "collects: False"


def test_endless_templates_are_stopped(monkeypatch):
    monkeypatch.setattr(_template, "SECONDS", 0.5)
    with pytest.raises(UserError, match="did not finish within"):
        check(LOOP)


def test_a_loop_over_the_answer_alone_is_stopped_too(monkeypatch):
    monkeypatch.setattr(_template, "SECONDS", 0.5)
    with pytest.raises(UserError, match="did not finish within"):
        check("{% if messages | length > 1 %}" + LOOP + "{% endif %}{{ messages[0].content }}")
