"""One file per number, named as the paper names it. A file that defines `SCORER` is a scorer; see `base.py`."""

from unlearn_bench.registry import Registry

SCORERS = Registry(kind="scorer", package="unlearn_bench.scorers", attribute="SCORER")
