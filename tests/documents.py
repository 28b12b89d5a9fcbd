"""The commands and code that the documents show, as a test runs them.

A fenced block is a session (lines that begin with `$ `, each followed by what it prints), a list of commands, or code
in a language. A command that a test cannot run says why: `# not run: REASON` at its end, or on a line of its own for
those of the block below it.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
)  # run in order
DOCUMENTS = (*PAGES, "CONTRIBUTING.md", "leaderboards/README.md")
SHELL = ("", "console", "sh", "bash")
REASONS = (
    "needs a GPU", "needs a key", "needs the hub", "needs a server", "takes minutes", "a template", "needs your files",
)  # fmt: skip
ELISION = "…"
_NOT_RUN = re.compile(r"#\s*not run:\s*(.*)$")
_EXAMPLES = re.compile(r"^Examples?:")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its lines, and the number of the first of them."""

    document: str
    language: str
    first: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        place: FILE:LINE.
        text: The command, its continued lines joined, without a comment.
        reason: Why no test runs it; None for one that is run.
        shown: What the document says that it prints.
        lines: Where `shown` stands in the document: first and last line, from 1, the last not included.
    """

    place: str
    text: str
    reason: str | None = None
    shown: tuple[str, ...] = ()
    lines: tuple[int, int] = (0, 0)


def blocks(document: str) -> Iterator[Block]:
    """The fenced blocks of a document, in order."""
    language, first, found = None, 0, []
    for number, line in enumerate((ROOT / document).read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```"):
            if language is None:
                language, first, found = line[3:].strip(), number + 1, []
            else:
                yield Block(document, language, first, tuple(found))
                language = None
        elif language is not None:
            found.append(line)
    assert language is None, f"{document}: a block does not end"


def commands(*documents: str) -> list[Command]:
    """Every command of the documents' shell blocks."""
    found = [block for document in documents for block in blocks(document)]
    return [c for block in found if block.language in SHELL for c in block_commands(block)]


def prose() -> str:
    """README and the pages of docs/, white space as single spaces."""
    return " ".join(" ".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES).split())


def block_commands(block: Block) -> Iterator[Command]:
    """The commands of one block."""
    session = any(line.startswith("$ ") for line in block.lines)
    standing: str | None = None
    lines = list(enumerate(block.lines, start=block.first))
    while lines:
        number, line = lines.pop(0)
        if not line.strip() or (session and not line.startswith("$ ")):
            continue
        if line.lstrip().startswith("#"):
            found = _NOT_RUN.match(line.lstrip())
            standing = found[1] if found else standing
            continue
        while line.endswith("\\"):
            line = line[:-1].rstrip() + " " + lines.pop(0)[1].strip()
        text, reason = _parted(line.removeprefix("$ "))
        shown = []
        start = lines[0][0] if lines else number + 1
        while session and lines and not lines[0][1].startswith("$ "):
            shown.append(lines.pop(0)[1])
        yield Command(f"{block.document}:{number}", text, reason or standing, tuple(shown), (start, start + len(shown)))


def _parted(line: str) -> tuple[str, str | None]:
    """A command and the reason why it is not run; other comments are dropped."""
    text, _, comment = line.partition("  #") if "  #" in line else line.partition(" # ")
    found = _NOT_RUN.search("# " + comment.lstrip("# "))
    return text.strip(), found[1].strip() if found else None


def help_commands() -> list[Command]:
    """The commands of every verb's `--help`: what stands after `Example:` or, indented, after `Examples:`."""
    found = []
    for path in sorted((ROOT / "unlearn_bench/cli").glob("*.py")):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        lines = doc.splitlines()
        starts = [i for i, line in enumerate(lines) if _EXAMPLES.match(line)]
        for start in starts:
            own = [lines[start].partition(":")[2].strip()]
            while start + 1 < len(lines) and lines[start + 1].startswith("  "):
                start += 1
                own.append(lines[start].strip())
            for text, reason in map(_parted, filter(None, own)):
                found.append(Command(f"unlearn_bench/cli/{path.name}", text, reason))
    return found


def chunks(shown: tuple[str, ...]) -> list[list[str]]:
    """What is shown, cut at its `…` lines."""
    parts: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == ELISION:
            parts.append([])
        else:
            parts[-1].append(line.rstrip())
    return [part for part in map(_stripped, parts) if part]


def _stripped(lines: list[str]) -> list[str]:
    while lines and not lines[0]:
        lines = lines[1:]
    while lines and not lines[-1]:
        lines = lines[:-1]
    return lines


def missing(shown: tuple[str, ...], printed: str) -> list[str] | None:
    """The first chunk of what is shown that was not printed, in this order; None where all was."""
    lines = [line.rstrip() for line in printed.splitlines()]
    at = 0
    for chunk in chunks(shown):
        places = [i for i in range(at, len(lines) - len(chunk) + 1) if lines[i : i + len(chunk)] == chunk]
        if not places:
            return chunk
        at = places[0] + len(chunk)
    return None


def refreshed(shown: tuple[str, ...], printed: str) -> list[str]:
    """What is shown as it is printed now: with `…` the same rows, known by their first word, else all but paths."""
    lines = [line.rstrip() for line in printed.splitlines()]
    if any(line.strip() == ELISION for line in shown):
        by_word = {line.split()[0]: line for line in reversed(lines) if line.split()}
        return [by_word.get(line.split()[0], line) if line.split() else line for line in shown]
    return _stripped([line for line in lines if not line.endswith(("result.json", "samples.jsonl"))])
