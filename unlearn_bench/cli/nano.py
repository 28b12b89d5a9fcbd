"""The embedded default: make its checkpoints, its corpus and its table of unlearning methods again.

`nano build` trains the embedded checkpoints (minutes on 2 cores): nano-full, nano-retain and nano-base from nothing,
nano-relearn and nano-ga from the embedded nano-full, as rows of the table with seed 0. `nano corpus` writes the data
file, and with --check only says whether it is what the generator makes. `nano reproduce` trains every unlearning method
with several seeds, scores each, and writes table.md, table.json and scatter.png; started again, it skips what is
finished. `nano meta` makes pools of models that know the forget facts and that do not, and says how far each metric can
be believed.

Examples:
  unlearn-bench nano reproduce --list
  unlearn-bench nano meta --list
  unlearn-bench nano reproduce --methods relearn,ga --seeds 0 --output results/nano
"""

import argparse
import sys
import time

from unlearn_bench.cli import _meta_pool, _parser, _reproduce
from unlearn_bench.cli._flags import add
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK, UserError

HELP = "make the embedded checkpoints and corpus again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, prog=parser.prog, help="what to make"
    )
    build = _parser.add_action(actions, "build", "train the embedded checkpoints", parser)
    names = "nano-full, nano-retain, nano-base, nano-relearn, nano-ga"
    add(build, "--checkpoints", f" ({names}); all by default")
    _parser.add_former_name(build, "--name", "--checkpoints", nargs="+")
    add(build, "--output", ": folder for the checkpoints; the package's own by default")
    add(build, "--seed", " (weights and order of the text of those made from nothing; the committed by default)")
    add(build, "--overwrite", ": a checkpoint of that name")
    _parser.add_former_name(build, "--force", "--overwrite")
    add(build, "--quiet")
    corpus = _parser.add_action(actions, "corpus", "write the corpus file from its seed", parser)
    add(corpus, "--check")
    reproduce = _parser.add_action(
        actions, "reproduce", "train and score every unlearning method: the nano table", parser
    )
    _reproduce.add_arguments(reproduce, "nano", seeds=(0, 1, 2))
    meta = _parser.add_action(actions, "meta", "models that know and models that do not: which metric sees it?", parser)
    _meta_pool.add_arguments(meta, "nano", size=20, limit=24, seeds=(0, 1, 2))


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    return {"build": _build, "corpus": _corpus, "reproduce": _reproduce.run, "meta": _meta_pool.run}[args.action](args)


def _build(args: argparse.Namespace) -> int:
    from unlearn_bench.nano import CHECKPOINTS
    from unlearn_bench.nano.build import build, check
    from unlearn_bench.nano.corpus import SEED
    from unlearn_bench.nano.recipe import CHECKPOINT_RECIPES
    from unlearn_bench.registry import did_you_mean
    from unlearn_bench.reproduce import embedded

    known = [*CHECKPOINT_RECIPES, *embedded.ROW_OF]
    names, output = args.checkpoints or known, args.output or CHECKPOINTS
    seed = SEED if args.seed is None else args.seed
    for name in names:
        if name not in known:
            raise did_you_mean("embedded checkpoint", name, known)
    if args.seed is not None and not set(names) & set(CHECKPOINT_RECIPES):
        raise UserError(f"--seed is of checkpoints made from nothing, and {names[0]} is not", hint="leave it out")
    for name in names:
        check(name, output, overwrite=args.overwrite)
    for name in names:
        start = time.monotonic()
        if name in CHECKPOINT_RECIPES:
            with _Bar(name, quiet=args.quiet) as bar:
                folder = build(name, output, seed=seed, overwrite=args.overwrite, progress=bar.step)
        else:
            folder = embedded.build(name, output, overwrite=args.overwrite)
        if not args.quiet:
            print(f"{name}: {folder} in {(time.monotonic() - start) / 60:.1f} minutes")
    return EXIT_OK


def _corpus(args: argparse.Namespace) -> int:
    from unlearn_bench.nano.build import corpus_differs, write_corpus
    from unlearn_bench.nano.corpus import CORPUS_FILE

    if not args.check:
        print(f"{CORPUS_FILE}: {write_corpus()} rows")
        return EXIT_OK
    difference = corpus_differs()
    print(difference or f"{CORPUS_FILE} is what the generator makes", file=sys.stderr if difference else sys.stdout)
    return EXIT_FAILED if difference else EXIT_OK


class _Bar:
    """A progress bar with the loss."""

    def __init__(self, name: str, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(
            *columns, TextColumn("loss {task.fields[loss]:.4f}"), console=Console(stderr=True), disable=quiet
        )
        self._task = self._progress.add_task(name, total=None, loss=float("nan"))

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def step(self, step: int, steps: int, loss: float) -> None:
        """Show that `step` of `steps` is done."""
        self._progress.update(self._task, completed=step, total=steps, loss=loss)
