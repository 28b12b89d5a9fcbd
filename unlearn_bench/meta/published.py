"""Published figures of the same questions, on Llama-3.2-1B and TOFU: 30 models that know and 30 that do not.

From the UDS paper (arXiv 2605.24614; docs/data/meta_eval.json of its code), which repeats OpenUnlearning's evaluation
(arXiv 2506.12618): AUC, R and Q in their symmetric forms. Nobody has published such figures of KFR, KRR or LS.
"""

from typing import NamedTuple

SOURCE = "arXiv 2605.24614, Llama-3.2-1B on TOFU forget10, 30 + 30 models"


class Published(NamedTuple):
    """AUC, R and Q, symmetric."""

    auc: float
    relearning: float
    quantization: float


# our metric to the published one: key of a question set's kind ("" or "paraphrase") and metric
_FIGURES: dict[tuple[str, str], Published] = {
    ("", "extraction_strength"): Published(0.891, 0.7703, 0.9700),
    ("", "exact_memorization"): Published(0.817, 0.6051, 0.9843),
    ("", "probability"): Published(0.816, 0.6417, 0.9238),
    ("", "truth_ratio_probability"): Published(0.947, 0.2343, 0.9960),
    ("", "rougeL_recall"): Published(0.722, 0.2025, 0.9342),
    ("paraphrase", "rougeL_recall"): Published(0.832, 0.0637, 0.9507),
    ("", "mia_loss"): Published(0.902, 0.5192, 0.9348),
    ("", "mia_zlib"): Published(0.867, 0.4874, 0.9382),
    ("", "mia_min_k"): Published(0.907, 0.5322, 0.9231),
    ("", "mia_min_k_plus_plus"): Published(0.816, 0.4308, 0.8826),
    ("", "uds"): Published(0.971, 0.8997, 0.9677),
}


def published(key: str) -> Published | None:
    """The published figures of a number ("nano_forget/rougeL_recall"); None where there are none.

    >>> published("tofu_forget_paraphrase/rougeL_recall").auc, published("nano_forget/kfr")
    (0.832, None)
    """
    task, _, metric = key.partition("/")
    return _FIGURES.get(("paraphrase" if task.endswith("_paraphrase") else "", metric))
