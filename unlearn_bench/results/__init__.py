"""Results: made of samples and metrics, written as two files, and read back as untrusted files.

    DIR/samples.jsonl   one scored response a line
    DIR/result.json     everything else, with the hash of samples.jsonl

No torch and no lm-eval here: `score` must start quickly.
"""

from unlearn_bench.results.document import (
    RESULT_FILE,
    SAMPLES_FILE,
    build_task_result,
    choose_samples,
    cluster_info,
    dump_result,
    harness_info,
    missing_notes,
    require_folder,
    result_fingerprint,
    sample_lines,
    samples_by_task,
    samples_of,
    samples_sha256,
    sets_of,
    takers,
    write_results,
    writing,
)
from unlearn_bench.results.identity import metric_of, result_digest, value_of
from unlearn_bench.results.reading import (
    beside,
    iterate_samples,
    matching_samples,
    read_document,
    read_result,
    read_samples,
    samples_file_sha256,
)
from unlearn_bench.results.stress_report import STRESS_FILE, StressReport, read_stress

__all__ = [
    "RESULT_FILE", "SAMPLES_FILE", "STRESS_FILE", "StressReport", "beside", "build_task_result", "choose_samples",
    "cluster_info", "dump_result", "harness_info", "iterate_samples", "matching_samples", "metric_of",
    "missing_notes", "read_document", "read_result", "read_samples", "read_stress", "require_folder", "result_digest",
    "result_fingerprint", "sample_lines", "samples_by_task", "samples_file_sha256", "samples_of", "samples_sha256",
    "sets_of", "takers", "value_of", "write_results", "writing",
]  # fmt: skip
