"""Boards and results as a static site.

The site is files only: no server, no network, works from a folder. Every text passes Jinja's autoescape or markupsafe
once; JSON in a page is written so that no string can end its element.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from unlearn_bench import __version__
from unlearn_bench.boards import checks, kept_samples
from unlearn_bench.boards.board import slug
from unlearn_bench.boards.ranking import Ranked
from unlearn_bench.calibration.correct import corrected
from unlearn_bench.results import matching_samples, require_folder
from unlearn_bench.schema import Result, Sample
from unlearn_bench.site import _believed_page, _cells, _entry_page, _scatter, _seeds, _start_page, report_text
from unlearn_bench.site.views import BoardView, Inputs, Loose

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
BELIEVED = "which-metric-can-be-believed.html"
ASSETS = ("site.css", "site.js", "vendor/dataTables.min.js", "vendor/plotly-basic.min.js")


def write_site(inputs: Inputs, output: Path) -> list[Path]:
    """Write the site into a folder, which is made; other files in it are left alone.

    Returns:
        The pages, the first of them index.html.

    Raises:
        UserError: if the folder is a file.
    """
    require_folder(output)
    site = _Site(inputs, output)
    site.assets()
    pages = [site.index(), *site.believed()]
    evidence = {loose.digest: loose for loose in inputs.loose}
    for board in inputs.boards:
        pages.append(site.board(board))
        originals = site.samples_of(board, board.board.anchors.original, evidence)
        pages += [site.entry(board, row, evidence.get(row.entry.result_sha256), originals) for row in board.ranked]
    return pages + [site.loose(loose) for loose in site.unplaced]


def _write_text(path: Path, text: str) -> None:
    """Write a page; a site can be made again, so nothing waits for the disk as it does for a board."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


class _Site:
    """The pages of one report."""

    def __init__(self, inputs: Inputs, output: Path) -> None:
        self.inputs, self.output = inputs, output
        self.environment = _environment()
        self.pages = [{"url": f"{v.board.benchmark}.html", "title": v.board.title} for v in inputs.boards]
        self.pools = [
            pool for v in inputs.boards for pool in _believed_page.read(v.path, v.board.benchmark, v.board.title)
        ]
        if self.pools:
            self.pages.append({"url": BELIEVED, "title": "Which metric can be believed"})
        placed = {e.result_sha256 for v in inputs.boards for e in v.board.entries}
        self.unplaced = [loose for loose in inputs.loose if loose.digest not in placed]

    def assets(self) -> None:
        """The stylesheet, the script, the libraries and their licences."""
        for name in ASSETS:
            text = (HERE / "assets" / name).read_text(encoding="utf-8")
            _write_text(self.output / "assets" / Path(name).name, text)
        licences = sorted((HERE / "assets" / "vendor").glob("*.LICENSE.txt"))
        texts = [f"{path.name}\n\n{path.read_text(encoding='utf-8')}\n" for path in licences]
        _write_text(self.output / "assets" / "LICENSES.txt", "".join(texts))

    def index(self) -> Path:
        """The first page."""
        boards = []
        for v in self.inputs.boards:
            boards.append(
                {
                    "url": f"{v.board.benchmark}.html",
                    "title": v.board.title,
                    "description": v.board.description,
                    "entries": len(v.board.entries),
                    "best": _linked(v, 5),
                    "more": max(0, len(_first(v)) - 5),
                    "table": _start_page.board_table(v) if v.ranked else None,
                }
            )
        pins = [
            {"board": v.board.title, "task": name, "n": rule.n, "dataset": rule.dataset_sha256, "scorer": rule.scorer}
            for v in self.inputs.boards
            for name, rule in v.board.tasks.items()
        ]
        results = [
            {"url": self._loose_url(loose), "name": loose.result.model.name, "why": self._why_unlike(loose)}
            for loose in self.unplaced
        ]
        return self._write(
            "index.html",
            "index",
            title="Unlearning leaderboards",
            boards=boards,
            pins=pins,
            results=results,
            believed=BELIEVED if self.pools else None,
            legend=_start_page.legend(self.inputs.boards) if any(v.ranked for v in self.inputs.boards) else [],
        )

    def believed(self) -> list[Path]:
        """The page of the metrics' own figures, where any board has them beside it."""
        if not self.pools:
            return []
        return [self._write(BELIEVED, "believed", title="Which metric can be believed", pools=self.pools)]

    def _why_unlike(self, loose: Loose) -> list[str]:
        """Why a result could not stand on the boards whose tasks it holds."""
        reasons = []
        for v in self.inputs.boards:
            if v.board.tasks.keys() & loose.result.tasks.keys():
                problems = checks.board_problems(loose.result, v.board)
                reasons += [f"{v.board.title}: {problem.message}" for problem in problems[:3]]
        return reasons

    def board(self, v: BoardView) -> Path:
        """A board's page, and its Markdown and CSV."""
        name = v.board.benchmark
        _write_text(self.output / f"{name}.md", report_text.to_markdown(v))
        _write_text(self.output / f"{name}.csv", report_text.to_csv(v))
        rows = _cells.board_rows(v.board, v.ranked, v.scales, v.urls)
        return self._write(
            f"{name}.html",
            "board",
            title=f"{v.board.title}: leaderboard",
            board=v.board,
            rows=rows,
            tag_column=len(rows["columns"]) - 1,
            methods=_cells.method_rows(v.board, v.methods),
            anchors=_cells.anchor_rows(v.board, v.ranked, v.urls),
            references=any(row.anchor == "reference" for row in v.ranked),
            legend=_cells.legend(v.board),
            figure=_scatter.scatter(v.board, v.ranked, v.urls),
            figure_label=f"Scatter plot of {len(v.ranked)} models, forgetting against retention, coloured by fluency.",
            points=[{"name": row.entry.name, "url": v.urls[row.entry.name], "rank": row.label} for row in v.ranked],
            first=_linked(v, 8),
            more=max(0, len(_first(v)) - 8),
            reading=report_text.READING,
        )

    def samples_of(self, v: BoardView, name: str | None, evidence: dict[str, Loose]) -> tuple[str, list[Sample]] | None:
        """The samples of an entry of the board, if they are at hand."""
        entry = v.board.entry(name) if name else None
        found = entry and self._samples_path(v, entry.result, evidence.get(entry.result_sha256))
        return (name, matching_samples(entry.result, found)) if found else None

    def _samples_path(self, v: BoardView, result: Result, loose: Loose | None) -> Path | None:
        return kept_samples.kept(v.path, result.samples_sha256) or (loose.samples if loose else None)

    def entry(self, v: BoardView, row: Ranked, loose: Loose | None, original: tuple[str, list[Sample]] | None) -> Path:
        """An entry's page."""
        entry = row.entry
        path = self._samples_path(v, entry.result, loose)
        samples = matching_samples(entry.result, path) if path else []
        links = [("paper", entry.paper), ("code", entry.code)]
        keys, history = _entry_page.history_rows(entry.history, v.board)
        return self._write(
            v.urls[entry.name],
            "entry",
            **self._evidence(entry.result, samples, original if original and original[0] != entry.name else None),
            title=f"{entry.name}: {v.board.title}",
            name=entry.name,
            board=v.board,
            place=None if row.rank is None else row.label,
            tags=_cells.tags(row),
            sentence="" if row.anchor else _cells.sentence(row),
            seeds=self._seeds(v, row),
            notes=entry.notes,
            links=[{"text": text, "url": url} for text, url in links if url],
            metrics=_entry_page.metrics(corrected(entry.result, samples), v.scales),
            checked=_entry_page.checked(entry, row.asked, row.log),
            provenance=_entry_page.provenance(entry.result, entry),
            pictures=_entry_page.pictures(loose.folder if loose else None),
            history=history,
            history_keys=keys,
        )

    def _seeds(self, v: BoardView, row: Ranked) -> dict[str, object] | None:
        """The other seeds of an entry's method, and what they show together; None for a single one."""
        method = next((m for m in _seeds.several(v.methods) if row in m.rows), None)
        if method is None:
            return None
        others = [other.entry.name for other in method.rows if other is not row]
        return {
            "name": method.name,
            "count": len(method.rows),
            "others": [{"name": name, "url": v.urls[name]} for name in others],
            "spread": [f"{m.label} {text}" for m in v.board.axis_metrics().values()
                       if (text := report_text.spread(method, m.key))],
        }  # fmt: skip

    def loose(self, loose: Loose) -> Path:
        """The page of a result that is on no board."""
        samples = matching_samples(loose.result, loose.samples) if loose.samples else []
        return self._write(
            self._loose_url(loose),
            "entry",
            **self._evidence(loose.result, samples, None),
            title=loose.result.model.name,
            name=loose.result.model.name,
            tags=[{"text": "not on a board", "style": "soft"}],
            metrics=_entry_page.metrics(corrected(loose.result, samples), {}),
            provenance=_entry_page.provenance(loose.result, None),
            pictures=_entry_page.pictures(loose.folder),
        )

    def _loose_url(self, loose: Loose) -> str:
        return f"entries/result-{slug(loose.result.model.name, loose.digest)}.html"

    def _evidence(self, result: Result, samples: list[Sample], original: tuple[str, list[Sample]] | None) -> dict:
        if not samples:
            return {}
        table = _entry_page.sample_table(samples, original[1] if original else None)
        return {
            "samples": table,
            "tasks": sorted({sample.task for sample in samples}),
            "cut": _entry_page.MAX_SHOWN if len(samples) > _entry_page.MAX_SHOWN else None,
            "flipped_from": original[0] if original else None,
            "tag_column": len(table["columns"]) - 1,
            "histogram": _entry_page.histogram(samples),
            "histogram_label": "Histogram of the fluency of single answers, a colour for each task.",
        }

    def _write(self, url: str, template: str, **values: object) -> Path:
        root = "../" * url.count("/")
        text = self.environment.get_template(f"{template}.html.j2").render(
            root=root, pages=self.pages, version=__version__, **values
        )
        _write_text(self.output / url, text)
        return self.output / url


def _first(v: BoardView) -> list[Ranked]:
    return [row for row in v.ranked if row.rank == 1]


def _linked(v: BoardView, most: int) -> list[dict[str, str]]:
    """The first front's names with their pages: names hold commas, so that no list of bare names can be read."""
    return [{"name": row.entry.name, "url": v.urls[row.entry.name]} for row in _first(v)[:most]]


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        undefined=_lenient(StrictUndefined),
    )
    environment.filters["breakable"] = _cells.breakable
    environment.filters["json"] = lambda value: Markup(script_json(value))
    return environment


def _lenient(strict: type) -> type:
    """A missing value is false in a condition, and an error anywhere else."""
    return type("Missing", (strict,), {"__bool__": lambda self: False})


def script_json(value: object) -> str:
    r"""JSON for a script element: no string in it can end the element or open a comment.

    >>> script_json("</script><!--")
    '"\\u003c/script\\u003e\\u003c!--"'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
