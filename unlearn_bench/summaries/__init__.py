"""Numbers of a whole run: over the answers of several roles, and possibly an oracle's. One file per number.

A file that defines `SUMMARY` is a summary; see `base.py`. They are the metrics of one task of the result (`NAME`
behind the dataset, "tofu_summary"), whose `samples_of` names the question sets.
"""

from unlearn_bench.registry import Registry

SUMMARIES = Registry(kind="summary", package="unlearn_bench.summaries", attribute="SUMMARY")
NAME = "summary"
