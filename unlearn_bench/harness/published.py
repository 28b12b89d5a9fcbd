"""Published logs in a folder: found by their hashes, and scored as a board scores them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from unlearn_bench import formats
from unlearn_bench.errors import UserError
from unlearn_bench.harness.score import ScoreSpec, score
from unlearn_bench.harness.spec import Scoring
from unlearn_bench.schema import Result, Sample

_LOGS = (".json", ".json.gz", ".json.bz2", ".json.xz")


class Pinned(Protocol):
    """A log as a board pins it; `sha256` is the hash of the file as published."""

    sha256: str


@dataclass(frozen=True)
class LogFolder:
    """A folder of logs, with the folders in it.

    Raises:
        UserError: if it is no folder.
    """

    folder: Path

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise UserError(f"--logs {self.folder}: no such folder")

    def find(self, wanted: Mapping[str, Pinned]) -> dict[str, Path]:
        """The files that are wanted: hash of the content to file; a packed or newly indented copy counts."""
        by_file = {log.sha256: content for content, log in wanted.items()}
        found: dict[str, Path] = {}
        for path in sorted(self.folder.rglob("*")):
            if len(found) == len(wanted):
                break
            if path.name.endswith(_LOGS) and path.is_file():
                of_file, of_content = formats.hashes(path)
                content = by_file.get(of_file, of_content)
                if content in wanted:
                    found.setdefault(content, path)
        return found

    def scored(
        self, path: Path, metrics: Sequence[str], scoring: Mapping[str, object]
    ) -> tuple[Result, Sequence[Sample]]:
        """Result and samples of a log; a malformed row refuses it."""
        outcome = score(ScoreSpec(files=(path,), metrics=tuple(metrics), scoring=Scoring.split(scoring), strict=True))
        return outcome.result, outcome.samples
