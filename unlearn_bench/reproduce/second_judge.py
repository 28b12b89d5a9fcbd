"""LS and perplexity of answers that are scored already, under another perplexity model."""

from collections.abc import Sequence

from unlearn_bench.models.packaged import is_installed
from unlearn_bench.reproduce.study import Study
from unlearn_bench.schema import Sample

SCORERS = ("linguistic_score", "perplexity")


def judge_of(study: Study) -> str | None:
    """The study's second perplexity model; None where it has none, or where its package is not installed."""
    name = study.second_judge
    return name if name is not None and is_installed(name) else None


def judged(samples: Sequence[Sample], study: Study, judge: str) -> dict[str, float | None]:
    """Values by "nano_forget/ls[smollm2-135m]"; None where nothing could be scored.

    Args:
        samples: Of all tasks.
        study: Which of them are judged again.
        judge: Name of a packaged perplexity model.
    """
    from unlearn_bench.evidence.parts import make_parts
    from unlearn_bench.evidence.pipeline import aggregate, response_of, score_responses
    from unlearn_bench.evidence.settings import Settings

    parts = make_parts(Settings(ppl_model=judge), judges_wording=False)
    found: dict[str, float | None] = {}
    for task in study.judged_again.tasks:
        own = [response_of(sample) for sample in samples if sample.task == task][: study.judged_again.most]
        metrics = aggregate(score_responses(own, SCORERS, parts, {}), SCORERS, {})
        found |= {f"{task}/{name}[{judge}]": metrics[name].value for name in ("ls", "perplexity")}
    return found
