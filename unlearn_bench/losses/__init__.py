"""Unlearning losses: one file per method, pure tensor functions, combined by name ("npo+gdr+klr").

A loss returns its value for each token or each sequence, not their mean: the trainer sums over all micro-batches and
processes of an optimizer step and divides by the step's count, so that accumulation and parallelism change nothing.
Its positional parameters name what it needs and its keywords are its options; `base.py` lists the names it may use.
What it keeps between steps, which parameters it trains and which answers it forgets, it declares. A new loss is one
file here that defines the function and `LOSS`.
"""

from unlearn_bench.registry import Registry

LOSSES = Registry(kind="loss", package="unlearn_bench.losses", attribute="LOSS")
