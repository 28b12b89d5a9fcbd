"""What `--original` and `--oracle` name: a checkpoint, a result, a log, or a row of a board."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unlearn_bench.harness.oracle import Oracle


def named(text: str | None) -> "str | Oracle | None":
    """A row of a board (BOARD.json#NAME) as what it holds; other names as they are.

    Raises:
        UserError: if there is no such board or row.
    """
    if text is None or ".json#" not in text:
        return text
    from unlearn_bench.boards.lookup import find
    from unlearn_bench.harness.oracle import Oracle
    from unlearn_bench.results import result_digest

    loaded, _ = find(text)
    identity = loaded.result.samples_sha256 or result_digest(loaded.result)
    return Oracle(loaded.name, identity, loaded.samples or (), loaded.result)
