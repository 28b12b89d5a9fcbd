"""What a run of `augment` made, in numbers, and writing it down."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from unlearn_bench.augment import verify
from unlearn_bench.augment.pipeline import Augmented, AugmentSettings, ordinary
from unlearn_bench.augment.rows import SensitivePair, Writer
from unlearn_bench.files import write_together
from unlearn_bench.hashing import sha256_file, sha256_text
from unlearn_bench.results.owned import kept_as
from unlearn_bench.scorers.fluency import fluency

KINDS = ("original_question", "simple", "context", "noise", "logical", "completion", "generic")


def summarise(
    outcome: Augmented,
    sources: Sequence[SensitivePair],
    writer: Writer,
    settings: AugmentSettings,
    *,
    dataset: str,
    output_sha256: str,
) -> dict[str, object]:
    """Counts per kind, leak rates before and after verification, retries, failures, fluency, and what it cost.

    `leak_rate.before` is over the answers of the first try, `after` over all accepted answers, both by the rules of
    verify.py (`before` by the model's opinion too where it was asked); `after_ordinary_words_counted` is over
    all accepted answers with every content word taken for a secret. None without an answer.
    """
    by_id = {source.id: source for source in sources}
    answered = [(by_id[row.source_id], row) for row in outcome.rows if row.kind not in ("completion", "generic")]
    plain = ordinary(sources)
    leaks = sum(bool(verify.leaked(s.question, s.answer, row.answer, plain | s.phrasing)) for s, row in answered)
    repeats = sum(bool(verify.leaked(s.question, s.answer, row.answer)) for s, row in answered)
    by_kind = Counter(row.kind for row in outcome.rows)
    counts = outcome.counts
    return {
        "dataset": dataset,
        "sources": len(sources),
        "writer": writer.name,
        "seed": settings.seed,
        "verified": settings.verify,
        "strict": settings.strict,
        "rows": len(outcome.rows),
        "rows_by_kind": {kind: by_kind[kind] for kind in KINDS},
        "generic_distinct": len({row.source_id for row in outcome.rows if row.kind == "generic"}),
        "answers_too_short_to_complete": len(answered) - by_kind["completion"] if settings.completion else 0,
        "leak_rate": {
            "before": counts.first_leaks / counts.first_answers if counts.first_answers else None,
            "after": leaks / len(answered) if answered else None,
            "after_ordinary_words_counted": repeats / len(answered) if answered else None,
        },
        "fluency": mean(fluency(s.question, row.answer) for s, row in answered) if answered else None,
        "distinct_answers": len({row.answer for _, row in answered}),
        "retries": dict(counts.retries),
        "refused": dict(sorted(counts.refused.items())),
        "failed": len(outcome.failed),
        "failed_texts": [text.to_json() for text in outcome.failed[:20]],
        "usage": dict(writer.usage()),
        "output_sha256": output_sha256,
    }


def paths(output: Path) -> tuple[Path, Path]:
    """Where the failures and the summary of an output file go."""
    return output.with_name(f"{output.name}.failed.jsonl"), output.with_name(f"{output.name}.summary.json")


def is_own(output: Path) -> bool:
    """Whether a file is as `write` left it: the summary beside it has its hash."""
    document = kept_as(dict[str, Any], paths(output)[1])
    return document is not None and document.get("output_sha256") == sha256_file(output)


def write(
    output: Path,
    outcome: Augmented,
    sources: Sequence[SensitivePair],
    writer: Writer,
    settings: AugmentSettings,
    *,
    dataset: str,
) -> dict[str, object]:
    """Write the rows, the failures (if any) and the summary to one folder; return the summary.

    All texts are on the disk before any takes its name, so a full disk leaves the files that were there.

    Raises:
        OSError: if the disk is full or the folder cannot be written.
    """
    lines = [_line(row.to_json(writer=writer.name, seed=settings.seed)) for row in outcome.rows]
    failed, summary = paths(output)
    document = summarise(outcome, sources, writer, settings, dataset=dataset, output_sha256=sha256_text("".join(lines)))
    failures = {failed: [_line(text.to_json()) for text in outcome.failed]} if outcome.failed else {}
    write_together({**failures, summary: [json.dumps(document, indent=2, ensure_ascii=False) + "\n"], output: lines})
    if not failures:
        failed.unlink(missing_ok=True)  # of a run before
    return document


def _line(value: dict[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
