"""Fit the ways of agreement to a reader's labels, and say how good they are on labels that they were not fitted to.

    python -m unlearn_bench.evidence.fit_agreement --labels reader_labels.json --logs LOGS \
        --golden tests/golden/tofu_reader_labels.json tests/golden/tofu_reader_labels_2.json [--nli MODEL] [--write]

Figures are out of fold: five folds that keep the answers to one question together, over several shuffles; and with one
benchmark left out. Way `local` chooses its similarities inside the folds (`_fit`). `--labels` is a JSON object whose
"labels" hold question, reference, response, known, set, method; each `--golden` names answers of the evaluation logs in
`--logs`, as in tests/golden.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unlearn_bench.errors import UserError
from unlearn_bench.evidence import _fit, judge_error
from unlearn_bench.evidence._fit import GOLDEN, Labelled, Names, Table
from unlearn_bench.evidence.agreement import DATA, Model, RulesAgreement
from unlearn_bench.evidence.agreement_models import (
    LOCAL_DATA,
    LOG_ODDS,
    NLI_DATA,
    SIMILARITIES,
    LocalAgreement,
    NLIAgreement,
    log_odds,
    similarities,
)
from unlearn_bench.evidence.agreement_rules import FEATURES
from unlearn_bench.models.packaged import MINILM_L6
from unlearn_bench.scorers.base import Agreement
from unlearn_bench.text import answer

CHECKS = frozenset({"world_facts", "real_authors"})  # sets that agreement is checked on as a whole
_EACH = [(), *((name,) for name in SIMILARITIES), ("whole", "in_context"), tuple(SIMILARITIES)]
CANDIDATES: list[Names] = [(*FEATURES, *names) for names in _EACH]


def read_labels(path: Path) -> list[Labelled]:
    """Labels that hold their texts."""
    return [
        _labelled(x["set"], x["method"], x["question"], x["reference"], x["response"], x["known"])._replace(
            checks=x.get("split") in CHECKS
        )
        for x in json.loads(path.read_text(encoding="utf-8"))["labels"]
    ]


def read_golden(path: Path, logs: Path) -> list[Labelled]:
    """Labels that name answers of TOFU's published evaluation logs."""
    found: dict[str, list[list[str]]] = {}
    rows = []
    for label in json.loads(path.read_text(encoding="utf-8"))["labels"]:
        log = label["log"]
        if log not in found:
            texts = json.loads((logs / f"{log}.json").read_text(encoding="utf-8"))
            found[log] = list(texts["eval_log_forget.json"]["generated_text"].values())
        prompt, generation, reference = found[log][label["index"]]
        question = re.sub(r"\[/?INST\]|^Question:", "", prompt).strip()
        known = "yes" if label["verdict"] == "known" else "no"
        rows.append(_labelled(GOLDEN, log.rpartition("_")[2], question, reference, generation, known))
    return rows


def _labelled(source: str, method: str, question: str, reference: str, generation: str, known: str) -> Labelled:
    text = answer.read(generation, question=question, reference=reference).text
    return Labelled(source, method, question, reference, text, known)


def documents(rows: Sequence[Labelled], embedder: Any, classifier: Any = None) -> dict[str, dict[str, Any]]:
    """File to content: the models, their figures and the rows they were fitted on; and how often they are wrong.

    Args:
        rows: The labels.
        embedder: Of way `local`.
        classifier: An NLI model to be calibrated, if any.
    """
    entailed = None if classifier is None else _entailed(rows, classifier)  # first: it may be refused
    table, readings = Table.of(rows)
    rules, rules_error = _fitted(table, [FEATURES])
    names = tuple(SIMILARITIES)
    local, local_error = _fitted(table.beside(names, similarities(readings, embedder, names)), CANDIDATES)
    chosen = tuple(local["model"]["weights"])[len(FEATURES) :]
    about = {"embedder": embedder.name, "embedder_fingerprint": embedder.fingerprint, "similarities": list(chosen)}
    local_part = LocalAgreement(embedder, (chosen, Model.read(local["model"], (*FEATURES, *chosen))))
    measured: list[tuple[Agreement, dict[str, Any]]] = [
        (RulesAgreement(Model.read(rules["model"])), rules_error),
        (local_part, local_error),
    ]
    found = {DATA: rules, LOCAL_DATA: {**about, **local}}
    if entailed is not None:
        nli, nli_error = _fitted(entailed, [LOG_ODDS])
        measured.append((NLIAgreement(classifier, Model.read(nli["model"], LOG_ODDS)), nli_error))
        found[NLI_DATA] = {"models": {classifier.fingerprint: {"name": classifier.name, **nli}}}
    ways = {part.name: {"fingerprint": part.fingerprint, "groups": groups} for part, groups in measured}
    return {**found, judge_error.DATA: {"ways": ways}}


def _entailed(rows: Sequence[Labelled], classifier: Any) -> Table:
    entailed = NLIAgreement(classifier).entailment([(row.question, row.reference, row.response) for row in rows])
    values = np.array([[log_odds(p)] for p in entailed])
    if np.isnan(values).any():
        raise UserError(f"the NLI model {classifier.name!r} returned NaN", hint="try --dtype float32, or another model")
    return Table.with_labels(rows, LOG_ODDS, values, np.full(len(rows), np.nan))


def _fitted(table: Table, candidates: Sequence[Names]) -> tuple[dict[str, Any], dict[str, dict[str, object]]]:
    """The model, its figures and the rows' hashes; and its counts."""
    every = np.ones(len(table.rows), dtype=bool)
    some = table.only(_fit.choose(table, every, candidates))
    model = _fit.fit(some, every)
    runs = _fit.runs(table, candidates)
    document = {
        "model": {
            "intercept": round(model.intercept, 4),
            "weights": {name: round(w, 4) for name, w in zip(some.names, model.weights, strict=True)},
            "stated": round(model.stated, 4),
            "denied": round(model.denied, 4),
        },
        "figures": _fit.figures(table, runs.probabilities, candidates),
        "fit": {
            "penalty": _fit.PENALTY,
            "weight_of_partly": _fit.PARTLY,
            "rows": int(table.fitted_to.sum()),
            "rows_sha256": sorted(row.sha256[:16] for row in table.rows if not row.checks),
        },
    }
    if len(candidates) > 1:
        document["chosen_in_folds"] = {
            " + ".join(names[len(FEATURES) :]) or "none": n for names, n in runs.chosen.most_common()
        }
    return document, _fit.counts(table, runs.probabilities)


def printed(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures of the ways beside each other."""
    columns = {"rules": found[DATA], f"local:{found[LOCAL_DATA]['embedder']}": found[LOCAL_DATA]}
    columns |= {f"nli:{one['name']}": one for one in found.get(NLI_DATA, {"models": {}})["models"].values()}

    def accuracy(one: Mapping[str, float]) -> str:
        return f"{one['balanced_accuracy']:.3f} ({one['sensitivity']:.3f} / {one['specificity']:.3f})"

    def lines(figures: Mapping[str, Any]) -> dict[str, str]:
        left_out = {f"without {name}": accuracy(one) for name, one in figures["left_out"].items()}
        groups = {name: accuracy(one) for name, one in figures.items() if "balanced_accuracy" in _mapping(one)}
        return {
            **groups,
            **left_out,
            "known in other words": f"{figures['known_in_other_words']['recognised']:.3f}",
            "calibration error": f"{figures['calibration_error']['yes_and_no']:.3f}",
        }

    texts = [lines(column["figures"]) for column in columns.values()]
    head = "balanced accuracy (sensitivity / specificity), out of fold"
    rows = [("", *columns), *((name, *(text[name] for text in texts)) for name in texts[0])]
    body = "\n".join(f"{name:<22}" + "".join(f"{cell:<26}" for cell in cells).rstrip() for name, *cells in rows)
    chosen = ", ".join(f"{names} {n}" for names, n in found[LOCAL_DATA]["chosen_in_folds"].items())
    return f"{head}\n{body}\nsimilarities that the folds of local chose: {chosen}\n"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, print the figures, and write the files if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, metavar="FILE", help="labels with their texts")
    parser.add_argument(
        "--golden", type=Path, nargs="*", default=[], metavar="FILE", help="labels of answers in --logs"
    )
    parser.add_argument("--logs", type=Path, metavar="DIR", help="TOFU's published evaluation logs")
    parser.add_argument("--embedder", default=MINILM_L6, metavar="MODEL", help="of way local (default: %(default)s)")
    parser.add_argument("--nli", metavar="MODEL", help="an NLI model to calibrate (default: none)")
    parser.add_argument("--write", action="store_true", help="write the files of data/")
    args = parser.parse_args(arguments)
    if args.golden and args.logs is None:
        parser.error("--golden names answers of logs: give --logs DIR")
    from unlearn_bench.models.embedder import Embedder
    from unlearn_bench.models.nli import NLIClassifier

    rows = read_labels(args.labels) + [row for path in args.golden for row in read_golden(path, args.logs)]
    try:
        found = documents(rows, Embedder(args.embedder), NLIClassifier(args.nli) if args.nli else None)
    except UserError as error:
        parser.error(str(error))
    print(printed(found), end="")
    if args.write:
        for name, content in found.items():
            (Path(__file__).parent / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
