"""The page "Which metric can be believed": how well each metric tells models that know from models that do not.

The figures are those of `unlearn-bench meta`, read from BENCHMARK_meta/meta.json (or table.json) beside a board.
"""

from pathlib import Path
from typing import NamedTuple

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from unlearn_bench.errors import UserError
from unlearn_bench.results.reading import first_error
from unlearn_bench.schema import Finite
from unlearn_bench.untrusted import strict_json, strings

FILES = ("meta.json", "table.json")
MAX_META = 16 * strict_json.MIB
_SIDES = {"positive": "know", "negative": "do not", "broken": "are broken"}


class _Lenient(BaseModel):
    """What the page shows of a document that holds more."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _Robustness(_Lenient):
    symmetric: Finite | None = None
    one_sided: Finite | None = None


class _Published(_Lenient):
    auc: Finite | None = None


class _Metric(_Lenient):
    key: str = Field(validation_alias=AliasChoices("key", "metric"))
    knows: str | None = None
    auc: Finite | None = None
    ci95: list[Finite] | None = None
    place: int | None = None
    tied: bool = False
    means: dict[str, Finite | None] = {}
    broken: Finite | None = None
    relearning: _Robustness | None = None
    quantization: _Robustness | None = None
    overall: Finite | None = None
    reason: str | None = None
    published: _Published | None = None


class _Pool(_Lenient):
    models: dict[str, list[str] | int] = {}
    metrics: list[_Metric]


class _Document(_Lenient):
    pools: dict[str, _Pool]


class Believed(NamedTuple):
    """The figures of one pool: of metrics of knowledge, and of others."""

    title: str
    models: str
    rows: list[dict[str, str]]
    others: list[dict[str, str]]


def read(board: Path, benchmark: str, title: str) -> list[Believed]:
    """The figures beside a board, a pool each; none where there is no such file.

    Raises:
        UserError: if the file is not one that `unlearn-bench meta` wrote.
    """
    folder = board.resolve().parent / f"{benchmark}_meta"
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        return []
    text = strict_json.read_text(path, limit=MAX_META, what="table of metrics")
    try:
        plain = strict_json.parse(text)
        problems = strings.problems_in(plain)
        if problems:
            raise strict_json.Refused(problems[0])
        if isinstance(plain, dict) and "pools" in plain:
            pools = _Document.model_validate_json(text).pools
        else:
            pools = {"": _Pool.model_validate_json(text)}
    except strict_json.Refused as error:
        raise UserError(f"{path}: {error}") from None
    except ValidationError as error:
        raise UserError(f"{path} is not what `unlearn-bench meta` writes: {first_error(error)}") from None
    return [_believed(f"{title}: {name}" if name else title, pool) for name, pool in pools.items()]


def _believed(title: str, found: _Pool) -> Believed:
    known = [metric for metric in found.metrics if metric.knows is not None]
    ordered = sorted(known, key=lambda metric: (metric.place is None, metric.place or 0, -(metric.auc or 0)))
    counts = {side: names if isinstance(names, int) else len(names) for side, names in found.models.items()}
    models = [f"{count} that {_SIDES[side]}" for side, count in counts.items() if side in _SIDES and count]
    others = [metric for metric in found.metrics if metric.knows is None and metric.auc is not None]
    return Believed(title, ", ".join(models), [_row(metric) for metric in ordered], [_row(metric) for metric in others])


def _row(one: _Metric) -> dict[str, str]:
    place = "\N{EN DASH}" if one.place is None else f"{one.place}{'=' if one.tied else ''}"
    interval = f"{one.ci95[0]:.2f}\N{EN DASH}{one.ci95[1]:.2f}" if one.ci95 and len(one.ci95) == 2 else ""
    return {
        "place": place,
        "key": one.key,
        "auc": _number(one.auc),
        "interval": interval,
        "knows": _number(one.means.get("positive")),
        "not": _number(one.means.get("negative")),
        "broken": _number(one.broken),
        "r": _robust(one.relearning),
        "q": _robust(one.quantization),
        "overall": _number(one.overall),
        "published": _number(one.published and one.published.auc),
        "reason": one.reason or "",
    }


def _robust(found: _Robustness | None) -> str:
    return "\N{EN DASH}" if found is None else f"{_number(found.symmetric)} / {_number(found.one_sided)}"


def _number(value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
