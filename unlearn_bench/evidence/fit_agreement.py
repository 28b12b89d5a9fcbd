"""Fit the model of agreement to a reader's labels, and say how good it is on labels that it was not fitted to.

    python -m unlearn_bench.evidence.fit_agreement --labels reader_labels.json --logs LOGS \
        --golden tests/golden/tofu_reader_labels.json tests/golden/tofu_reader_labels_2.json [--write]

minimise over w, b:   sum_i v_i CE(t_i, sigmoid(b + w . z_i)) + l |w|^2 / 2        z: features, standardised

t is 1 for "yes", 1/2 for "partly", 0 for "no"; v is 1, and 1/2 for "partly". Figures are out of fold: five folds that
keep the answers to one question together, over several shuffles; and with one benchmark left out. `--labels` is a JSON
object whose "labels" hold question, reference, response, known, set, method; each `--golden` names answers of the
evaluation logs in `--logs`, as in tests/golden.
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unlearn_bench.evidence import judge_error
from unlearn_bench.evidence.agreement import DATA, Model, RulesAgreement
from unlearn_bench.evidence.agreement_rules import FEATURES, Reading, decide, features
from unlearn_bench.hashing import sha256_json
from unlearn_bench.scorers.rouge import rougeL_recall
from unlearn_bench.text import answer

TARGETS = {"yes": 1.0, "partly": 0.5, "no": 0.0}
PARTLY = 0.5  # weight of a "partly" beside a "yes" or a "no"
PENALTY = 2.0
PRIOR, PRIOR_ROWS = 0.95, 2  # how often a deciding rule is right, before any row is seen, and how much that counts
FOLDS, SHUFFLES = 5, 5
BINS = 10
OTHER_WORDS = 0.5  # ROUGE-L recall below which a known answer says it in other words
NOT_UNLEARNED = frozenset({"full", "retain90", "target", "retrain"})
CHECKS = frozenset({"world_facts", "real_authors"})  # sets that agreement is checked on as a whole
GOLDEN = "golden"
LEFT_OUT = {"tofu": ("tofu", GOLDEN), "knowundo": ("knowundo",), "muse+rwku": ("muse+rwku",)}


class Labelled(NamedTuple):
    """An answer that a reader judged; `known` is "yes", "partly" or "no". `checks`: never fitted to."""

    source: str
    method: str
    question: str
    reference: str
    response: str
    known: str
    checks: bool = False

    @property
    def sha256(self) -> str:
        """Hash of what is fitted to: texts and label."""
        return sha256_json([self.question, self.reference, self.response, self.known])


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


class Table(NamedTuple):
    """Labelled rows as arrays: features (n, features); targets, weights, what a rule decided (1, 0, NaN), each (n,)."""

    rows: Sequence[Labelled]
    features: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    decided: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Labelled]) -> "Table":
        """Read the texts of the rows."""
        readings = [Reading.of(row.question, row.reference, row.response) for row in rows]
        verdicts = [decide(reading) for reading in readings]
        return cls(
            rows,
            np.array([features(reading) for reading in readings]),
            np.array([TARGETS[row.known] for row in rows]),
            np.array([PARTLY if row.known == "partly" else 1.0 for row in rows]),
            np.array([np.nan if verdict is None else float(verdict) for verdict in verdicts]),
        )


def fit(table: Table, used: np.ndarray) -> Model:
    """The model of the rows that a mask (n,) marks, checks left out; its weights are of those that no rule decides."""
    used = used & ~np.array([row.checks for row in table.rows])
    undecided = used & np.isnan(table.decided)
    values, targets, weights = table.features[undecided], table.targets[undecided], table.weights[undecided]
    mean = np.average(values, axis=0, weights=weights)
    scale = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
    scale[scale == 0] = 1.0
    design = np.hstack([(values - mean) / scale, np.ones((len(values), 1))])
    penalty = np.append(np.full(len(FEATURES), PENALTY), 0.0)
    beta = np.zeros(design.shape[1])
    for _ in range(100):
        p = _sigmoid(design @ beta)
        gradient = design.T @ (weights * (p - targets)) + penalty * beta
        hessian = (design * (weights * np.maximum(p * (1 - p), 1e-9))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        beta -= step
        if np.abs(step).max() < 1e-10:
            break
    raw = beta[:-1] / scale
    stated, denied = (_share_stated(table, used & (table.decided == verdict), verdict) for verdict in (1.0, 0.0))
    return Model(float(beta[-1] - raw @ mean), tuple(raw.tolist()), stated, denied)


def _share_stated(table: Table, used: np.ndarray, verdict: float) -> float:
    prior = PRIOR if verdict else 1 - PRIOR
    return float((table.targets[used].sum() + PRIOR_ROWS * prior) / (used.sum() + PRIOR_ROWS))


def predict(model: Model, table: Table) -> np.ndarray:
    """Probabilities (n,) of all rows."""
    p = _sigmoid(model.intercept + table.features @ np.array(model.weights))
    return np.where(np.isnan(table.decided), p, np.where(table.decided == 1, model.stated, model.denied))


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(odds, -500, 500)))


def out_of_fold(table: Table, seed: int) -> np.ndarray:
    """Probabilities (n,), each from a model that saw no answer to the same question."""
    questions = sorted({row.question for row in table.rows})
    order = np.random.default_rng(seed).permutation(len(questions))
    fold_of = {questions[i]: place % FOLDS for place, i in enumerate(order)}
    fold = np.array([fold_of[row.question] for row in table.rows])
    p = np.empty(len(fold))
    for k in range(FOLDS):
        p[fold == k] = predict(fit(table, fold != k), table)[fold == k]
    return p


def groups(table: Table) -> dict[str, np.ndarray]:
    """Masks (n,) of the answers that figures are given for; the golden labels are apart from "all"."""
    sources = {name: np.array([row.source == name for row in table.rows]) for name in (*LEFT_OUT, GOLDEN)}
    new = ~sources[GOLDEN]
    unlearned = new & np.array([row.method not in NOT_UNLEARNED for row in table.rows])
    return {"all": new, "unlearned": unlearned, **sources}


def figures(table: Table, runs: np.ndarray) -> dict[str, object]:
    """How the model does on labels that it was not fitted to, by probabilities (k, n) out of fold."""
    masks = groups(table)
    new = masks["all"]
    recall = np.array([rougeL_recall(row.reference, row.response) for row in table.rows])
    reworded = new & (table.targets == 1) & (recall < OTHER_WORDS)
    return {
        **{name: _accuracy(table, runs, mask) for name, mask in masks.items()},
        "left_out": {name: _left_out(table, name, masks[name]) for name in LEFT_OUT},
        "known_in_other_words": {"n": int(reworded.sum()), "recognised": _rounded((runs[:, reworded] >= 0.5).mean())},
        "partly": _rounded(np.median(runs[:, new & (table.targets == 0.5)])),
        "calibration_error": {
            "yes_and_no": _rounded(np.mean([calibration_error(table, p, new & (table.targets != 0.5)) for p in runs])),
            "with_partly": _rounded(np.mean([calibration_error(table, p, new) for p in runs])),
        },
    }


def counts(table: Table, runs: np.ndarray) -> dict[str, dict[str, object]]:
    """For each group and label how many answers are called known and not known, mean over runs (k, n)."""
    found: dict[str, dict[str, object]] = {}
    for name, mask in groups(table).items():
        rows = [row for row, inside in zip(table.rows, mask, strict=True) if inside]
        labelled = {label: mask & (table.targets == target) for label, target in TARGETS.items()}
        called = {label: [float((runs[:, m] >= 0.5).sum() / len(runs)), int(m.sum())] for label, m in labelled.items()}
        found[name] = {
            **{label: [_rounded(known), _rounded(n - known)] for label, (known, n) in called.items()},
            "questions": len({row.question for row in rows}),
            "labels_sha256": sha256_json(sorted(row.sha256 for row in rows)),
        }
    return found


def _left_out(table: Table, name: str, mask: np.ndarray) -> dict[str, float]:
    others = np.array([row.source not in LEFT_OUT[name] for row in table.rows])
    return _accuracy(table, predict(fit(table, others), table)[None], mask)


def _accuracy(table: Table, runs: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Sensitivity, specificity and their mean on yes and no, mean over runs (k, n)."""
    known, unknown = (mask & (table.targets == target) for target in (1.0, 0.0))
    sensitivity, specificity = (runs[:, known] >= 0.5).mean(), (runs[:, unknown] < 0.5).mean()
    return {
        "known": int(known.sum()),
        "not_known": int(unknown.sum()),
        "sensitivity": _rounded(sensitivity),
        "specificity": _rounded(specificity),
        "balanced_accuracy": _rounded((sensitivity + specificity) / 2),
    }


def calibration_error(table: Table, p: np.ndarray, mask: np.ndarray) -> float:
    """Expected calibration error over bins of equal width: sum of share x |mean p - mean target|."""
    p, targets = p[mask], table.targets[mask]
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    return float(
        sum(abs(p[bins == k].sum() - targets[bins == k].sum()) / len(p) for k in range(BINS) if (bins == k).any())
    )


def _rounded(value: float) -> float:
    return round(float(value), 3)


def documents(rows: Sequence[Labelled]) -> dict[str, dict[str, object]]:
    """File to content: the model, its figures and the rows it was fitted on; and how often it is wrong, as counts."""
    table = Table.of(rows)
    model = fit(table, np.ones(len(rows), dtype=bool))
    runs = np.array([out_of_fold(table, seed) for seed in range(SHUFFLES)])
    fitted = {
        "model": {
            "intercept": round(model.intercept, 4),
            "weights": {name: round(w, 4) for name, w in zip(FEATURES, model.weights, strict=True)},
            "stated": round(model.stated, 4),
            "denied": round(model.denied, 4),
        },
        "figures": figures(table, runs),
        "fit": {
            "penalty": PENALTY,
            "weight_of_partly": PARTLY,
            "rows": sum(not row.checks for row in rows),
            "rows_sha256": sorted(row.sha256[:16] for row in rows if not row.checks),
        },
    }
    measured = {"fingerprint": RulesAgreement(Model.read(fitted["model"])).fingerprint, "groups": counts(table, runs)}
    return {DATA: fitted, judge_error.DATA: {"ways": {RulesAgreement.name: measured}}}


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, and print or write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--labels", type=Path, required=True, metavar="FILE", help="labels with their texts")
    parser.add_argument(
        "--golden", type=Path, nargs="*", default=[], metavar="FILE", help="labels of answers in --logs"
    )
    parser.add_argument("--logs", type=Path, metavar="DIR", help="TOFU's published evaluation logs")
    parser.add_argument("--write", action="store_true", help="write the files of data/; else print")
    args = parser.parse_args(arguments)
    if args.golden and args.logs is None:
        parser.error("--golden names answers of logs: give --logs DIR")
    rows = read_labels(args.labels) + [row for path in args.golden for row in read_golden(path, args.logs)]
    for name, content in documents(rows).items():
        text = json.dumps(content, indent=1) + "\n"
        if args.write:
            (Path(__file__).parent / name).write_text(text, encoding="utf-8")
        else:
            print(text, end="")


if __name__ == "__main__":
    main()
