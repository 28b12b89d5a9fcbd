"""Stress: a change of the checkpoint, of the question or of the way an answer is drawn. Nothing here scores.

One file an exam; a file that defines `STRESS` is one. `harness.stress` asks the tasks again under each.
"""

from unlearn_bench.registry import Registry

STRESSES = Registry(kind="stress", package="unlearn_bench.stress", attribute="STRESS")
