"""The arithmetic of fitting agreement: a penalised logistic regression, and what it is worth out of fold.

minimise over w, b:   sum_i v_i CE(t_i, sigmoid(b + w . z_i)) + l |w|^2 / 2        z: features, standardised

t is 1 for "yes", 1/2 for "partly", 0 for "no"; v is 1, and 1/2 for "partly". Which of several sets of features is
fitted is chosen by log loss out of fold among the rows that are fitted to, so an answer that is judged has no part in
the choice of the features that judge it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unlearn_bench.evidence.agreement import Model
from unlearn_bench.evidence.agreement_rules import FEATURES, Reading, decide, features
from unlearn_bench.hashing import sha256_json
from unlearn_bench.scorers.rouge import rougeL_recall

TARGETS = {"yes": 1.0, "partly": 0.5, "no": 0.0}
PARTLY = 0.5  # weight of a "partly" beside a "yes" or a "no"
PENALTY = 2.0
PRIOR, PRIOR_ROWS = 0.95, 2  # how often a deciding rule is right, before any row is seen, and how much that counts
FOLDS, SHUFFLES = 5, 5
CHOICE_SEED = 1000  # of the folds among which features are chosen
WORTH = 0.001  # log loss that one more feature must save to be chosen
BINS = 10
OTHER_WORDS = 0.5  # ROUGE-L recall below which a known answer says it in other words
NOT_UNLEARNED = frozenset({"full", "retain90", "target", "retrain"})
GOLDEN = "golden"
LEFT_OUT = {"tofu": ("tofu", GOLDEN), "knowundo": ("knowundo",), "muse+rwku": ("muse+rwku",)}

Names = tuple[str, ...]


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


class Table(NamedTuple):
    """Labelled rows as arrays.

    Attributes:
        names: Of the features.
        features: Shape (n, len(names)).
        targets, weights: Shape (n,).
        decided: What a rule decided (1, 0, NaN), shape (n,).
    """

    rows: Sequence[Labelled]
    names: Names
    features: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    decided: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Labelled]) -> tuple["Table", list[Reading]]:
        """The rules' features and decisions, and the readings that they are of."""
        readings = [Reading.of(row.question, row.reference, row.response) for row in rows]
        verdicts = [decide(reading) for reading in readings]
        decided = np.array([np.nan if verdict is None else float(verdict) for verdict in verdicts])
        values = np.array([features(reading) for reading in readings])
        return cls.with_labels(rows, FEATURES, values, decided), readings

    @classmethod
    def with_labels(cls, rows: Sequence[Labelled], names: Names, values: np.ndarray, decided: np.ndarray) -> "Table":
        """Features of labelled rows."""
        targets = np.array([TARGETS[row.known] for row in rows])
        return cls(rows, names, values, targets, np.where(targets == 0.5, PARTLY, 1.0), decided)

    def beside(self, names: Names, values: np.ndarray) -> "Table":
        """The same rows with further features, shape (n, len(names))."""
        return self._replace(names=(*self.names, *names), features=np.hstack([self.features, values]))

    def only(self, names: Sequence[str]) -> "Table":
        """The same rows with some of their features."""
        return self._replace(names=tuple(names), features=self.features[:, [self.names.index(n) for n in names]])

    @property
    def fitted_to(self) -> np.ndarray:
        """Rows that may be fitted to, shape (n,), bool."""
        return np.array([not row.checks for row in self.rows])


class Runs(NamedTuple):
    """Probabilities out of fold, shape (SHUFFLES, n), and how often each set of features was chosen."""

    probabilities: np.ndarray
    chosen: Counter[Names]


def fit(table: Table, used: np.ndarray) -> Model:
    """The model of the rows that a mask (n,) marks, checks left out; its weights are of those that no rule decides."""
    used = used & table.fitted_to
    undecided = used & np.isnan(table.decided)
    values, targets, weights = table.features[undecided], table.targets[undecided], table.weights[undecided]
    mean = np.average(values, axis=0, weights=weights)
    scale = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
    scale[scale == 0] = 1.0
    design = np.hstack([(values - mean) / scale, np.ones((len(values), 1))])
    penalty = np.append(np.full(values.shape[1], PENALTY), 0.0)
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
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -500, 500))))


def choose(table: Table, used: np.ndarray, candidates: Sequence[Names]) -> Names:
    """The candidate whose log loss out of fold, among the rows of a mask (n,), is least; each feature costs `WORTH`."""
    if len(candidates) == 1:
        return candidates[0]
    judged = used & table.fitted_to

    def loss(names: Names) -> float:
        some = table.only(names)
        p = np.clip(out_of_fold(some, CHOICE_SEED, [names], used)[0][judged], 1e-6, 1 - 1e-6)
        t = table.targets[judged]
        entropy = -np.average(t * np.log(p) + (1 - t) * np.log(1 - p), weights=table.weights[judged])
        return float(entropy) + WORTH * len(names)

    return min(candidates, key=loss)


def out_of_fold(
    table: Table, seed: int, candidates: Sequence[Names], used: np.ndarray | None = None
) -> tuple[np.ndarray, list[Names]]:
    """Probabilities (n,), each from a model that saw no answer to the same question; and what each fold chose.

    Args:
        table: Labelled rows.
        seed: Of the division of the questions.
        candidates: Sets of features to choose from.
        used: The rows that there are, shape (n,), bool; None for all.
    """
    used = np.ones(len(table.rows), dtype=bool) if used is None else used
    questions = sorted({row.question for row in table.rows})
    order = np.random.default_rng(seed).permutation(len(questions))
    fold_of = {questions[i]: place % FOLDS for place, i in enumerate(order)}
    fold = np.array([fold_of[row.question] for row in table.rows])
    p, chosen = np.empty(len(fold)), []
    for k in range(FOLDS):
        inside = used & (fold != k)
        chosen.append(choose(table, inside, candidates))
        some = table.only(chosen[-1])
        p[fold == k] = predict(fit(some, inside), some)[fold == k]
    return p, chosen


def runs(table: Table, candidates: Sequence[Names]) -> Runs:
    """Out of fold over several divisions."""
    found = [out_of_fold(table, seed, candidates) for seed in range(SHUFFLES)]
    return Runs(np.array([p for p, _ in found]), Counter(names for _, chosen in found for names in chosen))


def groups(table: Table) -> dict[str, np.ndarray]:
    """Masks (n,) of the answers that figures are given for, each with some known and some not known.

    The golden labels are apart from "all".
    """
    sources = {name: np.array([row.source == name for row in table.rows]) for name in (*LEFT_OUT, GOLDEN)}
    new = ~sources[GOLDEN]
    unlearned = new & np.array([row.method not in NOT_UNLEARNED for row in table.rows])
    masks = {"all": new, "unlearned": unlearned, **sources}
    return {name: mask for name, mask in masks.items() if {0.0, 1.0} <= set(table.targets[mask])}


def figures(table: Table, probabilities: np.ndarray, candidates: Sequence[Names]) -> dict[str, object]:
    """How a way does on labels that it was not fitted to, by probabilities (k, n) out of fold."""
    masks = groups(table)
    new = masks["all"]
    recall = np.array([rougeL_recall(row.reference, row.response) for row in table.rows])
    reworded = new & (table.targets == 1) & (recall < OTHER_WORDS)
    errors = {
        "yes_and_no": [calibration_error(table, p, new & (table.targets != 0.5)) for p in probabilities],
        "with_partly": [calibration_error(table, p, new) for p in probabilities],
    }
    return {
        **{name: _accuracy(table, probabilities, mask) for name, mask in masks.items()},
        "left_out": {name: _left_out(table, name, masks[name], candidates) for name in LEFT_OUT if name in masks},
        "known_in_other_words": {
            "n": int(reworded.sum()),
            "recognised": _rounded((probabilities[:, reworded] >= 0.5).mean()),
        },
        "partly": _rounded(np.median(probabilities[:, new & (table.targets == 0.5)])),
        "calibration_error": {name: _rounded(float(np.mean(values))) for name, values in errors.items()},
    }


def counts(table: Table, probabilities: np.ndarray) -> dict[str, dict[str, object]]:
    """For each group and label how many answers are called known and not known, mean over runs (k, n)."""
    found: dict[str, dict[str, object]] = {}
    for name, mask in groups(table).items():
        rows = [row for row, inside in zip(table.rows, mask, strict=True) if inside]
        labelled = {label: mask & (table.targets == target) for label, target in TARGETS.items()}
        called = {
            label: (float((probabilities[:, m] >= 0.5).sum(axis=1).mean()), int(m.sum()))
            for label, m in labelled.items()
            if m.any()
        }
        found[name] = {
            **{label: [0.0, 0.0] for label in TARGETS},
            **{label: [_rounded(known), _rounded(n - known)] for label, (known, n) in called.items()},
            "questions": len({row.question for row in rows}),
            "labels_sha256": sha256_json(sorted(row.sha256 for row in rows)),
        }
    return found


def _left_out(table: Table, name: str, mask: np.ndarray, candidates: Sequence[Names]) -> dict[str, float]:
    others = np.array([row.source not in LEFT_OUT[name] for row in table.rows])
    some = table.only(choose(table, others, candidates))
    return _accuracy(table, predict(fit(some, others), some)[None], mask)


def _accuracy(table: Table, probabilities: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Sensitivity, specificity and their mean on yes and no, mean over runs (k, n)."""
    known, unknown = (mask & (table.targets == target) for target in (1.0, 0.0))
    sensitivity, specificity = (probabilities[:, known] >= 0.5).mean(), (probabilities[:, unknown] < 0.5).mean()
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
