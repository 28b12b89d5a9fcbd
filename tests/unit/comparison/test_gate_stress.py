"""A gate on what comes back under stress: a ceiling on the excess recovery, and no pass without the stress."""

import pytest

from unlearn_bench.comparison._under_stress import judged
from unlearn_bench.comparison.gate import read_gate
from unlearn_bench.errors import UserError
from unlearn_bench.schema import BeforeAfter, ModelInfo, StressInfo, StressRow


def _gate(tmp_path, text):
    path = tmp_path / "gates.yaml"
    path.write_text(f"version: 1\nstress:\n{text}")
    return read_gate(path)


def _info(**changes):
    row = StressRow(
        stress="quantization/nf4", changes="checkpoint", task="nano_forget", role="forget", metric="kfr",
        higher_is_better=True, n=128, model=BeforeAfter(before=0.9, after=0.86, recovery=0.04), excess=0.04,
        ci95=(-0.02, 0.1), verdict="holds", scale="recovery",
    )  # fmt: skip
    retained = row.model_copy(update={"task": "nano_retain", "role": "retain", "excess": None, "verdict": None})
    return StressInfo(
        versions={"quantization": 1},
        models={"model": ModelInfo(name="m", source="folder")},
        margin=0.1,
        rows=[row.model_copy(update=changes), retained],
        skipped={"precision/float16": "cpu does not compute in float16"},
    )


@pytest.mark.parametrize(
    ("rule", "changes", "verdict"),
    [
        ("quantization/nf4/kfr: {ceiling: 0.05}", {}, "pass"),
        ("quantization/nf4: {ceiling: 0.05}", {}, "pass"),
        ("'quantization/*': {ceiling: 0.03}", {}, "regress"),
        ("quantization/nf4: {ceiling: 0.05, ceiling_on: interval}", {}, "regress"),
        ("quantization/nf4: {ceiling: 0.05}", {"excess": None, "reasons": {"excess": "no control"}}, "undecided"),
        ("quantization/int4: {ceiling: 0.05}", {}, "regress"),
        ("quantization/int4: {ceiling: 0.05, required: false}", {}, "info"),
        ("precision/float16: {ceiling: 0.05}", {}, "regress"),
    ],
)
def test_verdicts(tmp_path, rule, changes, verdict):
    (found,) = judged(_info(**changes), _gate(tmp_path, f"  {rule}\n"))
    assert found.verdict == verdict


def test_what_was_skipped_or_never_done_says_so(tmp_path):
    (found,) = judged(_info(), _gate(tmp_path, "  precision/float16: {ceiling: 0.05}\n"))
    assert found.reason == "cpu does not compute in float16"
    (found,) = judged(None, _gate(tmp_path, "  quantization/nf4: {ceiling: 0.05}\n"))
    assert (found.verdict, found.reason) == ("regress", "the candidate was not put under this stress")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("nf4: {ceiling: 0.05}", "is not the name of a stress"),
        ("quantization/nf4: {margin: 0.05}", "unknown key 'margin'"),
        ("quantization/nf4: 0.05", "expected keys with values"),
        ("quantization/nf4: {ceiling_on: value}", "ceiling"),
    ],
)
def test_a_rule_that_cannot_be_read(tmp_path, rule, message):
    with pytest.raises(UserError, match=message):
        _gate(tmp_path, f"  {rule}\n")
