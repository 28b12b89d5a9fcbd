"""What `--original` and `--oracle` name: a checkpoint, a result, a log, or a row of a board."""

import argparse
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from unlearn_bench.harness.oracle import Oracle


def require_oracle(args: argparse.Namespace) -> None:
    """Refuse an original without an oracle where it is only one end of the line on which numbers have their place.

    Raises:
        UserError: if there is one.
    """
    if args.original and not args.oracle:
        raise UserError(
            "--original has no effect without --oracle: a number has its place between the two",
            hint="add --oracle, or leave it out",
        )


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
