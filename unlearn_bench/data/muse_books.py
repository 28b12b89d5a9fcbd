"""MUSE Books: the Harry Potter books to be forgotten (Shi et al., arXiv 2407.06460; hub: muse-bench/MUSE-Books).

Splits: verbmem (texts to be continued), knowmem_forget and knowmem_retain (questions behind ten examples),
privleak_forget, privleak_retain and privleak_holdout (texts for membership inference: `answer` is the text, nothing is
asked), raw_forget, raw_retain1 (to train on), raw_retain2 and raw_holdout (texts). No row has a cluster.

A folder has the layout of the authors' repository: `muse/books/knowmem/forget_qa.json` with `forget_qa_icl.json`,
`muse/books/verbmem/forget.json` ({prompt, gt}), `muse/books/privleak/holdout.json` and `muse/books/raw/forget.json`
(texts).

Which commit to pin is not known to this project, so a hub run needs `revision`, and records it.
"""

from unlearn_bench.data import _muse
from unlearn_bench.data.base import Dataset, Declaration


def load(split: str, *, data_dir: str | None = None, revision: str | None = None) -> Dataset:
    """Load a split of MUSE Books; see `_muse.load`."""
    return _muse.load("books", split, DATASET.hub, data_dir, revision)


DATASET = Declaration(
    load=load,
    splits={
        "verbmem": "forget",
        "knowmem_forget": "forget",
        "knowmem_retain": "retain",
        "privleak_forget": "forget",
        "privleak_retain": "retain",
        "privleak_holdout": "holdout",
        "raw_forget": "forget",
        "raw_retain1": "retain",
        "raw_retain2": "retain",
        "raw_holdout": "holdout",
    },
    defaults={"forget": "raw_forget", "retain": "raw_retain1", "holdout": "privleak_holdout"},
    hub="muse-bench/MUSE-Books",
    licence="NOASSERTION",
)
