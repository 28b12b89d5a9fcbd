"""stress.json: what `unlearn-bench stress` found, written by it and read back as an untrusted file."""

from pathlib import Path
from typing import Literal

from unlearn_bench.results.reading import MAX_RESULT, validated
from unlearn_bench.schema import SCHEMA_VERSION, HarnessInfo, ScorerInfo, Sha256, StressInfo, Strict
from unlearn_bench.untrusted import strict_json

STRESS_FILE = "stress.json"


class StressReport(Strict):
    """stress.json.

    Attributes:
        run: The settings, as given.
        scorers: Task to who scored.
        fingerprint: Hash of all that may move a number: models, settings, versions.
    """

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    harness: HarnessInfo
    run: dict[str, str | int | float | bool | list[str] | None]
    scorers: dict[str, ScorerInfo]
    stress: StressInfo
    fingerprint: Sha256


def read_stress(path: Path) -> StressReport:
    """Read a stress.json, or the folder that holds it.

    Raises:
        UserError: if it is missing, too big, not strict JSON, or does not follow the schema.
    """
    path = path / STRESS_FILE if path.is_dir() else path
    text = strict_json.read_text(path, limit=MAX_RESULT, what="stress report", hint="`unlearn-bench stress` writes it")
    where = f"stress report {path}"
    hint = "`unlearn-bench stress --overwrite` makes it again"
    return validated(StressReport, text, where=where, otherwise=" does not follow the schema", hint=hint)
