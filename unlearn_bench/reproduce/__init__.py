"""Tables of unlearning methods: each trained from one model with several seeds, each checkpoint scored.

A file that defines `STUDY` is a study: a corpus, the model that was taught it, and the rows of its table (`study.py`).
`plan` says what is run, `cell` runs one row with one seed, `pool` runs many and goes on where a cut run stopped,
`table` makes means and intervals over seeds of them, `scatter` draws forgetting against retaining, `submission` puts
them on a leaderboard.
"""

from unlearn_bench.registry import Registry

STUDIES = Registry(kind="study", package="unlearn_bench.reproduce", attribute="STUDY")
