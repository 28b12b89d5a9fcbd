"""What a table of the site shows of an entry: cells, tags, a plain sentence; and what the columns mean.

A cell is [html, sort key]. The HTML is escaped here, by markupsafe, and nowhere else: the page's script puts it in as
it is.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

from unlearn_bench.boards.board import Board, BoardMetric, Entry
from unlearn_bench.boards.ranking import Ranked, Scale
from unlearn_bench.results import metric_of
from unlearn_bench.schema import MetricValue, Result
from unlearn_bench.site._seeds import Method, several

Cell = list[object]
_TAGS = {
    "original": "before unlearning (0)",
    "oracle": "never trained on it (1)",
    "reference original": "before unlearning",
    "reference oracle": "never trained on it",
}
NOT_MEASURED = "\N{EN DASH}"
_LAST = -1e9  # sorts what is undefined behind everything
STRESS_HELP = (
    "The largest share of the forgotten that comes back when the checkpoint is quantized, relearned or asked "
    "otherwise, beyond what comes back of a model that never knew it; below it, under which stress, and how many of "
    "the stresses leak."
)
_STRESS_COLUMN = {
    "title": "Excess recovery under stress (lower is better)", "help": STRESS_HELP, "className": "num", "type": "num",
    "first": "asc",
}  # fmt: skip


def cell(text: str, key: object) -> Cell:
    """A cell of plain text."""
    return [str(escape(text)), key]


def value_cell(found: MetricValue | None, scale: Scale | None) -> Cell:
    """A value with its interval, and its place between the anchors."""
    if found is None:
        return [NOT_MEASURED, _LAST]
    if found.value is None:
        return [str(Markup("undefined <small>{}</small>").format(reasons(found))), _LAST]
    small = [] if found.ci95 is None else [f"{found.ci95[0]:.2f}\N{EN DASH}{found.ci95[1]:.2f}"]
    normalised = scale.normalise(found.value) if scale else None
    if normalised is not None:
        small.append(f"norm. {round(normalised, 2) + 0.0:.2f}")  # no -0.00
    html = Markup("{}").format(f"{found.value:.3f}")
    for line in small:
        html += Markup("<small>{}</small>").format(line)
    return [str(html), found.value]


def reasons(found: MetricValue) -> str:
    """Why samples were not scored."""
    return ", ".join(f"{reason} {count}" for reason, count in found.unscored_reasons.items())


def tags(row: Ranked) -> list[dict[str, str]]:
    """Warnings and marks of an entry: anchors, collapse, over-unlearning, verification."""
    found = []
    if row.anchor:
        found.append({"text": _TAGS[_end(row)], "style": "soft", "word": "anchor"})
    if row.lacking and row.anchor is None:
        found.append({"text": "incomplete", "style": "warn", "word": "incomplete"})
    if row.collapsed and row.anchor is None:
        found.append({"text": "collapsed", "style": "bad", "word": "collapsed"})
    if row.untouched:
        found.append({"text": "nothing forgotten", "style": "warn", "word": "untouched"})
    if any(score.over for score in row.axes.values()) and row.anchor is None:
        found.append({"text": "over-unlearned", "style": "warn", "word": "over"})
    if row.asked and row.asked != ("tokenizer",):
        found.append({"text": f"other {' and '.join(row.asked)}", "style": "warn", "word": "asked"})
    found.append(verified(row))
    return found


def verified(row: Ranked) -> dict[str, str]:
    """How far an entry's numbers were found again."""
    entry = row.entry
    if row.log is not None:
        return {"text": "published log, not verified here", "style": "soft", "word": "published"}
    if entry.verification is None:
        return {"text": "not verified", "style": "warn", "word": "unverified"}
    if entry.verification.level == "records":
        return {"text": "not rescored", "style": "soft", "word": "records"}
    return {"text": "verified", "style": "good", "word": "verified"}


def _end(row: Ranked) -> str:
    """What a row without a rank means: an end of the board's scale, or what a published log's model is."""
    return f"reference {row.log.stands_for}" if row.anchor == "reference" else str(row.anchor)


def tag_words(row: Ranked) -> str:
    """The words that the page's filter looks for, each between spaces."""
    words = [tag["word"] for tag in tags(row)]
    if row.front is not None:
        words.append(f"front-{row.front}")
    if row.anchor is None and not row.collapsed:
        words.append("working")
    return f" {' '.join(words)} "


def tag_html(row: Ranked) -> str:
    """The tags as HTML."""
    spans = [Markup('<span class="tag {}">{}</span>').format(tag["style"], tag["text"]) for tag in tags(row)]
    return str(Markup(" ").join(spans))


def sentence(row: Ranked) -> str:
    """The entry in plain words, for readers who do not know the metrics."""
    parts = []
    forgetting = row.axes.get("forgetting")
    if forgetting is not None and forgetting.normalised is not None:
        done = forgetting.normalised
        parts.append(f"it went {done:.0%} of the way from the original model to one that never saw the forget set")
    for axis in ("retention", "fluency"):
        if axis in row.axes:
            kept = row.axes[axis].value
            parts.append(f"kept {kept:.0%} of its {'other knowledge' if axis == 'retention' else 'fluency'}")
    if not parts:
        return ""
    text = ", ".join(parts)
    end = " It has collapsed: what it forgot is worth nothing." if row.collapsed and row.anchor is None else ""
    return f"{text[0].upper()}{text[1:]}.{end}"


def board_rows(board: Board, ranked: Sequence[Ranked], scales: dict[str, Scale], urls: dict[str, str]) -> dict:
    """Columns and rows of a board's table; robustness is shown where any entry was put under stress."""
    stressed = any(row.entry.result.stress for row in ranked)
    columns = [
        {"title": "Rank", "className": "num", "type": "num", "first": "asc"},
        {"title": "Model", "className": "name", "type": "string", "first": "asc"},
        *_metric_columns(board),
        *([_STRESS_COLUMN] if stressed else []),
        {"title": "Method", "className": "method", "type": "string", "first": "asc"},
        {"title": "Links", "type": "string", "first": "desc"},
        {"title": "Submitted", "className": "num", "type": "string", "first": "desc"},
        {"title": "tags", "visible": False, "type": "string"},
    ]
    rows = []
    for position, row in enumerate(ranked):
        entry = row.entry
        link = Markup('<a href="{}">{}</a>').format(urls[entry.name], breakable(entry.name))
        # Remarks are under the name: at the end of a wide table they would be out of sight.
        cells: list[Cell] = [cell(row.label, position), [f"{link}<br>{tag_html(row)}", entry.name.casefold()]]
        cells += [value_cell(metric_of(entry.result, m.key), scales[m.key]) for m in board.metrics]
        cells += [robustness_cell(entry.result)] if stressed else []
        method = (entry.training.method if entry.training else None) or ""
        cells += [_method_cell(method), _links(entry), cell(entry.submitted[:10], entry.submitted)]
        rows.append([*cells, cell(tag_words(row), tag_words(row))])
    return {"columns": columns, "rows": rows, "order": [[0, "asc"]]}


def robustness_cell(result: Result) -> Cell:
    """The largest excess recovery under any stress, of which, and how many leak; what is missing says so."""
    if result.stress is None:
        return cell("not tested", -_LAST)
    judged = [row for row in result.stress.rows if row.verdict is not None]
    found = [(row.excess, row.stress) for row in judged if row.excess is not None]
    if not found:
        return cell("no control", -_LAST)
    excess, stress = max(found)
    leaks = sum(row.verdict == "leaks" for row in judged)
    small = (stress, f"{leaks} of {len(judged)} leak")
    lines = [Markup("<small>{}</small>").format(line) for line in small]
    return [str(Markup("{}").format(f"{excess:+.2f}") + Markup("").join(lines)), excess]


def _method_cell(method: str) -> Cell:
    return [str(breakable(method)), method.casefold()]


def breakable(name: str) -> Markup:
    """A name as HTML that may break after "+", "/" and "_", and so in no word.

    >>> str(breakable("npo+gdr"))
    'npo+<wbr>gdr'
    """
    html = escape(name)
    for sign in "+/_":
        html = html.replace(sign, Markup("{}<wbr>").format(sign))
    return html


def _links(entry: Entry) -> Cell:
    """Paper and code; their addresses are http(s), or the board could not be read."""
    named = [(text, url) for text, url in (("paper", entry.paper), ("code", entry.code)) if url]
    spans = [Markup('<a href="{}" rel="nofollow noopener noreferrer">{}</a>').format(url, text) for text, url in named]
    return [str(Markup("<br>").join(spans)), len(named)]


def anchor_rows(board: Board, ranked: Sequence[Ranked], urls: dict[str, str]) -> list[dict[str, object]]:
    """The models that mean 0 and 1 on the normalised scale, then other references: their names and figures."""
    meaning = {
        "original": "0: before unlearning",
        "oracle": "1: never trained on the forget set",
        "reference original": "before unlearning",
        "reference oracle": "never trained on the forget set",
    }
    rows = [row for row in ranked if row.anchor]
    return [
        {
            "name": row.entry.name,
            "url": urls[row.entry.name],
            "meaning": meaning[_end(row)],
            "values": [_short(metric_of(row.entry.result, metric.key)) for metric in board.metrics],
        }
        for row in rows
    ]


def _short(found: MetricValue | None) -> str:
    return NOT_MEASURED if found is None or found.value is None else f"{found.value:.3f}"


def has_place(metric: str) -> bool:
    """Whether a number is good at the oracle's value, and no better beyond it."""
    return metric.startswith("kfr")


def legend(board: Board) -> list[dict[str, str]]:
    """What each column of the board means."""
    return [{"label": m.label, "key": m.key, "text": meaning(m)} for m in board.metrics]


def meaning(metric: BoardMetric) -> str:
    """What a column of a board shows, on which questions, and which way is better."""
    from unlearn_bench.glossary import describe

    better = "Higher is better." if metric.higher_is_better else "Lower is better."
    if has_place(metric.metric):
        better = "Good is what a model that never saw the forget set gives; beyond it is over-forgotten."
    task = describe(metric.task)
    asked = f"Asked: {task}." if task else f"Asked: {metric.task}."
    return " ".join(text for text in (describe(metric.metric), asked, better) if text)


def method_rows(board: Board, found: Sequence[Method]) -> dict | None:
    """Columns and rows of the methods of which there are several seeds; None if there are none."""
    columns = [
        {"title": "Method", "className": "name", "type": "string", "first": "asc"},
        {"title": "Seeds", "className": "num", "type": "num", "first": "desc"},
        {"title": "Ranks", "className": "num", "type": "num", "first": "asc"},
        *_metric_columns(board),
    ]
    rows = []
    for place, method in enumerate(several(found)):
        cells = [cell(method.name, method.name.casefold()), cell(str(len(method.rows)), len(method.rows))]
        cells.append(cell(method.rank, place))
        for metric in board.metrics:
            spread = method.spread(metric.key)
            html = "" if spread is None else Markup("{:.3f}<small>{:.3f} to {:.3f}</small>").format(*spread)
            cells.append([str(html), _LAST if spread is None else spread[0]])
        rows.append(cells)
    return {"columns": columns, "rows": rows, "order": [[2, "asc"]]} if rows else None


def _metric_columns(board: Board) -> list[dict[str, object]]:
    return [{"title": m.label + ("" if m.higher_is_better else " (lower is better)"), "className": "num",
             "help": meaning(m), "type": "num", "first": "desc" if m.higher_is_better else "asc"}
            for m in board.metrics]  # fmt: skip
