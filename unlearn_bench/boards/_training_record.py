"""Convert training.json, which `train` writes about a run, to a board's training entry."""

import json
from collections.abc import Mapping

from unlearn_bench.hashing import sha256_json

_MARKS = frozenset({"method", "model", "data", "terms", "hyperparameters", "versions"})


def is_record(document: object) -> bool:
    """Whether a document is such a record, and not yet what a board wants."""
    return isinstance(document, Mapping) and document.keys() >= _MARKS


def told(record: Mapping[str, object]) -> dict[str, object]:
    """The fields of `board.Training`.

    Of several training sets the hash is one over side and hash of each.

    Raises:
        KeyError, TypeError, AttributeError: if the record was edited out of its form.
    """
    settings = {name: _plain(value) for name, value in record["hyperparameters"].items()}
    terms = [f"{term['weight']:g}*{term['name']} {json.dumps(term['options'])}" for term in record["terms"]]
    return {
        "method": record["method"],
        "base_model": record["model"]["name"],
        "parent_weights_sha256": record["model"]["weights_sha256"],
        "train_data_sha256": sha256_json({side: part["sha256"] for side, part in record["data"].items()}),
        "hyperparameters": {**settings, "terms": terms},
        "seed": record["seed"],
        "trainer": f"unlearn-bench {record['versions'].get('unlearn-bench', 'of unknown version')}",
    }


def _plain(value: object) -> object:
    """Boards hold no nested settings: they become their JSON text, lists of them one text each."""
    if isinstance(value, list):
        return [item if isinstance(item, str) else json.dumps(item) for item in value]
    return json.dumps(value) if isinstance(value, Mapping) else value
