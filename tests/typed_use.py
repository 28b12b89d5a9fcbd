"""The API as a typed program uses it: mypy reads this file (`make test`), nothing runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import unlearn_bench

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from typing_extensions import assert_type

    from unlearn_bench.comparison.compare import CompareReport
    from unlearn_bench.schema import MetricValue, Sample


def use(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    loaded = unlearn_bench.evaluate(model, tokenizer=tokenizer, limit=8, profile="standard", nli="rules")
    named = unlearn_bench.evaluate("nano-full", ["nano"], batch_size="auto", kfr_rule="paper")
    rows = unlearn_bench.score([{"question": "a", "reference": "b", "response": "c"}], role="forget", krr_threshold=0.3)
    assert_type(loaded, unlearn_bench.Evaluation)
    assert_type(named.metrics, dict[str, MetricValue])
    assert_type(rows.samples, tuple[Sample, ...])
    assert_type(named.to_dict(), dict[str, object])
    assert_type(unlearn_bench.compare(loaded, "out", metrics=["kfr"]), CompareReport)
    assert_type(unlearn_bench.load_result("out"), unlearn_bench.Evaluation)


def misuse() -> None:
    # each line is an error; an unneeded "ignore" is one too (strict: warn_unused_ignores)
    unlearn_bench.evaluate("nano-full", limt=8)  # type: ignore[call-arg]
    unlearn_bench.evaluate("nano-full", profile="ofline")  # type: ignore[arg-type]
    unlearn_bench.score([], role="forgotten")  # type: ignore[arg-type]
    unlearn_bench.score([], limit=3)  # type: ignore[call-arg]
    unlearn_bench.evalute()  # type: ignore[attr-defined]
