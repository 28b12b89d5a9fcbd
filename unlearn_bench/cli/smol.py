"""The same on a real pretrained model: nano's people taught to SmolLM2-135M, and every unlearning method on it.

`smol build` trains two adapters on smollm2-135m: smol-full, which knows everybody, and smol-retain, which was never
taught the people to be forgotten; started again after an interruption, it goes on. `smol reproduce` trains every
unlearning method from smol-full as an adapter, scores each, and writes table.md, table.json and scatter.png; started
again, it skips what is finished. `smol meta` makes pools of models that know the forget facts and that do not, each a
short lesson from one of the two adapters, and says how far each metric can be believed.

Examples:
  unlearn-bench run --model smol-full --tasks smol  # not run: takes minutes
  unlearn-bench smol reproduce --list
  unlearn-bench smol meta --list
  unlearn-bench smol reproduce --methods ga,npo+gdr --output results/smol  # not run: takes minutes
"""

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

from unlearn_bench.cli import _meta_pool, _parser, _reproduce
from unlearn_bench.cli._flags import add
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from unlearn_bench.smol.build import Built

HELP = "nano's people on SmolLM2-135M: make its adapters and its table again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, prog=parser.prog, help="what to make"
    )
    build = _parser.add_action(actions, "build", "train the adapters on smollm2-135m", parser)
    add(build, "--checkpoints", " (smol-full, smol-retain); both by default")
    add(build, "--jobs")
    add(build, "--output", ": folder for the adapters; the package's own by default")
    add(build, "--seed", " (first weights, wording and order; the committed by default)")
    add(build, "--max-steps", ", for a trial")
    add(build, "--overwrite", ": an adapter of that name")
    add(build, "--quiet")
    reproduce = _parser.add_action(
        actions, "reproduce", "train and score every unlearning method: the smol table", parser
    )
    _reproduce.add_arguments(reproduce, "smol", seeds=(0,))
    meta = _parser.add_action(actions, "meta", "models that know and models that do not: which metric sees it?", parser)
    _meta_pool.add_arguments(meta, "smol", size=7, limit=12, seeds=(0, 1))


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    return {"build": _build, "reproduce": _reproduce.run, "meta": _meta_pool.run}[args.action](args)


def _build(args: argparse.Namespace) -> int:
    from unlearn_bench.models.packaged import SMOLLM2, packaged_path
    from unlearn_bench.nano.build import check
    from unlearn_bench.registry import did_you_mean
    from unlearn_bench.reproduce.pool import run_each
    from unlearn_bench.smol import ADAPTERS
    from unlearn_bench.smol.build import build
    from unlearn_bench.smol.recipe import SEED
    from unlearn_bench.smol.training_text import LEFT_OUT

    names, output = args.checkpoints or tuple(LEFT_OUT), args.output or ADAPTERS
    for name in names:
        if name not in LEFT_OUT:
            raise did_you_mean("adapter of smol", name, LEFT_OUT)
    packaged_path(SMOLLM2)  # says which command installs it
    for name in names:
        check(name, output, overwrite=args.overwrite)

    def report(name: str, built: "Built | str") -> None:
        if isinstance(built, str):
            print(f"{name}: {built}", file=sys.stderr)
        elif not args.quiet:
            print(f"{name}: {built.folder} in {built.minutes:.1f} minutes, at most {built.megabytes:.0f} MB of memory")

    do = partial(
        build,
        output=output,
        seed=SEED if args.seed is None else args.seed,
        overwrite=args.overwrite,
        max_steps=args.max_steps,
        quiet=args.quiet,
    )
    return EXIT_FAILED if run_each(names, do, jobs=args.jobs, report=report) else EXIT_OK
