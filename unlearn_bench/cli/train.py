"""Unlearn: train a checkpoint to forget one set of rows and to keep another.

A method is one or more terms joined by "+" ("npo+gdr"), each with an optional weight ("0.4*npo+0.4*klr+0.2*gdr").
A bare name means what its paper combines it with ("relearn" is relearn+gdr+klr). --list-methods shows the options
of each with their defaults, its source and where public code differs; --list-presets the settings and their sources.
memflex chooses its tensors at every step, its authors once before training; merge trains both adapters with one batch
size, its authors with two; sure ranks the neurons of matrices only, its authors every parameter.

Rows of --forget and --retain: files (JSON, JSON lines, .csv, .tsv with UTF-8 text) whose rows are
  question, answer       also query, instruction (joined with a non-empty input), input; labels, output, response …
                         a list of answers makes a row of each
  prompt, completion     as TRL's: through the chat template where the model has one, else continued as written
  messages               or ShareGPT's conversations: the last turn of the assistant is learned, what was said before
                         is its prompt
  text                   raw text (a .txt file is one): learned as written, in chunks of --max-length tokens
relearn learns the answers of --forget, and so takes only rows that `augment` wrote (they carry its mark), or --raw.

The output is an ordinary Hugging Face checkpoint, or a PEFT adapter with --lora, with a model card. Several GPUs:
  accelerate launch -m unlearn_bench train …        (DDP or FSDP, as `accelerate config` says; an example is in
                                                     the package's trainers/accelerate/; DeepSpeed is untested)

Examples:
  unlearn-bench train --method npo+gdr --model nano-full --forget nano:forget --retain nano:retain --output out/npo
  unlearn-bench train --method npo+gdr --preset tofu --model my-model --dataset tofu --output out/tofu
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from unlearn_bench.cli import _parser
from unlearn_bench.cli._flags import add, add_prompt, add_trust
from unlearn_bench.errors import EXIT_FAILED, EXIT_OK, UserError

if TYPE_CHECKING:
    from unlearn_bench.trainers.callbacks import Evaluate
    from unlearn_bench.trainers.config import TrainConfig

HELP = "unlearn: train a checkpoint to forget (ReLearn and the methods it is compared with)"
_PRECISIONS = {"fp32": "float32", "bf16": "bfloat16"}  # as --precision named them
_OWN = {"verb", "module", "config", "set", "dataset", "quiet", "json", "eval_tasks", "eval_limit"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags have the names of `TrainConfig`'s fields; a flag left out takes the preset's value, then the default."""
    add(parser, "--config")
    _what(parser.add_argument_group("what"))
    _how(parser.add_argument_group("how"))
    _run(parser.add_argument_group("the run"))


def epilog() -> str:
    """The terms, step changes, procedures and presets that there are, as their registries list them."""
    from unlearn_bench.cli._train_lists import names

    return names()


def _what(group: argparse._ArgumentGroup) -> None:
    unset = argparse.SUPPRESS
    group.add_argument("--method", required=True, help="terms joined by +, or a procedure")
    group.add_argument("--list-methods", action=_Show, const="methods", help="show every term and procedure, and exit")
    group.add_argument("--list-presets", action=_Show, const="presets", help="show every preset, and exit")
    add(group, "--model", ": the one that is to forget", required=True)
    add(group, "--adapter", "; it is merged into the model first", default=unset)
    add(group, "--output", ": folder of the result", required=True)
    for name in ("--forget", "--retain"):
        group.add_argument(
            name,
            action=_parser.Listed,
            type=_parser.paths,
            default=unset,
            metavar="ROWS,…",
            help="files or DATASET:SPLIT",
        )
    add(
        group,
        "--dataset",
        ": its forget and retain set, as far as the method uses them (nano:forget and nano:retain, tofu:forget10 and "
        "tofu:retain90, knowundo:forget_train and knowundo:retain_train)",
        default=unset,
    )
    group.add_argument(
        "--raw", action="store_true", default=unset, help="relearn: accept rows that `augment` did not write"
    )
    add(group, "--data-dir", default=unset)
    add(group, "--data-revision", default=unset)
    group.add_argument("--refusals", metavar="FILE", default=unset, help="refusals for dpo and idk_nll, one a line")
    group.add_argument(
        "--preset", default=unset, help="hyper-parameters: the papers' for tofu and knowundo, tuned for nano"
    )


def _how(group: argparse._ArgumentGroup) -> None:
    unset = argparse.SUPPRESS
    group.add_argument(
        "--lora", default=unset, help="train an adapter, as r=8,alpha=16,dropout=0.1; none: train all weights"
    )
    group.add_argument(
        "--set",
        action=_parser.Listed,
        type=_parser.pairs,
        default=(),
        metavar="TERM.OPTION=VALUE,…",
        help="options of terms (npo.beta=0.2)",
    )
    number = {"type": _parser.ABOVE_0, "metavar": "X", "default": unset}
    at_least_0 = {**number, "type": _parser.AT_LEAST_0}
    count = {"type": _parser.POSITIVE, "metavar": "N", "default": unset}
    group.add_argument("--epochs", **number, help="passes over the forget set (default: 5)")
    add(group, "--max-steps", default=unset)
    group.add_argument("--learning-rate", **number, help="peak learning rate of AdamW (default: 1e-5)")
    add(group, "--batch-size", ": forget rows per process and micro-batch (default: 4)", default=unset)
    group.add_argument("--accumulate", **count, help="micro-batches per optimizer step (default: 1)")
    group.add_argument("--weight-decay", **at_least_0, help="of AdamW (default: 0)")
    group.add_argument("--warmup", **at_least_0, help="share of steps with rising learning rate (default: 0)")
    group.add_argument("--warmup-epochs", **at_least_0, help="the same, in epochs (default: 0)")
    group.add_argument(
        "--scheduler",
        metavar="NAME",
        default=unset,
        help="learning-rate schedule, as in transformers (default: linear)",
    )
    group.add_argument("--max-grad-norm", **at_least_0, help="gradient clipping, 0 for none (default: 1)")
    group.add_argument("--max-length", **count, help="tokens of prompt and answer (default: 512)")
    add_prompt(group, unset=True)
    _parser.add_former_name(group, "--style", "--prompt")
    group.add_argument(
        "--reference-from",
        metavar="WAY",
        default=unset,
        help="where the original's log-probabilities come from: auto, adapter, stored, copy (default: auto)",
    )
    _parser.add_former_name(group, "--reference", "--reference-from")
    group.add_argument(
        "--trainable",
        action=_parser.Listed,
        type=_parser.whole_text,
        default=unset,
        metavar="REGEX",
        help="train only the parameters that match; may be given more than once",
    )
    add(group, "--dtype", " (default: auto, bfloat16 where the device has it; no float16)", default=unset)
    _parser.add_former_name(group, "--precision", "--dtype", values=_PRECISIONS)
    group.add_argument("--gradient-checkpointing", action="store_true", default=unset, help="less memory, more time")
    group.add_argument(
        "--no-length-grouping",
        dest="group_by_length",
        action="store_false",
        default=unset,
        help="do not batch rows of like length",
    )


def _run(group: argparse._ArgumentGroup) -> None:
    unset = argparse.SUPPRESS
    count = {"type": _parser.POSITIVE, "metavar": "N", "default": unset}
    add(group, "--seed", " (order, adapter, refusals, directions; default: 0)", default=unset)
    group.add_argument("--resume", action="store_true", default=unset, help="go on from the newest checkpoint")
    add(group, "--overwrite", ": an earlier run's output", default=unset)
    group.add_argument("--save-every", **count, help="steps between checkpoints (default: one an epoch)")
    group.add_argument(
        "--keep-checkpoints", action="store_true", default=unset, help="keep the last checkpoint when training is done"
    )
    group.add_argument(
        "--on-divergence",
        choices=("stop", "continue"),
        default=unset,
        help="what to do at a NaN or a huge loss (default: stop)",
    )
    group.add_argument(
        "--max-loss",
        type=_parser.ABOVE_0,
        metavar="X",
        default=unset,
        help="a term above this has diverged (default: 1e4)",
    )
    group.add_argument("--eval-every", **count, help="steps between points of the forget-retain curve")
    group.add_argument(
        "--eval-tasks",
        action=_parser.Listed,
        type=_parser.names,
        metavar="A,B,…",
        default=unset,
        help="tasks of those points (default: nano_kfr,nano_krr)",
    )
    group.add_argument("--eval-limit", **count, help="rows of each task at each point (default: 32)")
    group.add_argument(
        "--report-to", metavar="NAME", default=unset, help="as in transformers: tensorboard, wandb, … (default: none)"
    )
    add(group, "--quiet")
    add(group, "--json", " (what was trained)")
    add_trust(group, default=unset)


def run(args: argparse.Namespace) -> int:
    """Train; 1 if training diverged and was stopped."""
    from unlearn_bench.trainers import config as configuration

    given = _given(args)
    if isinstance(given.get("lora"), str):
        given["lora"] = None if given["lora"] == "none" else configuration.Lora.read(given["lora"])
    config = configuration.build(given)
    from unlearn_bench.trainers.divergence import Diverged
    from unlearn_bench.trainers.job import train

    evaluate = _curve(args, config)
    try:
        outcome = train(config, evaluate=evaluate, progress=not (args.quiet or args.json))
    except Diverged as error:
        print(f"unlearn-bench train: {error}", file=sys.stderr)
        return EXIT_FAILED
    if os.environ.get("RANK", "0") != "0":  # print from rank 0 only
        return EXIT_OK
    terms = {name: value if math.isfinite(value) else None for name, value in outcome.terms.items()}
    if args.json:
        done = {"output": str(outcome.folder), "steps": outcome.steps, "minutes": outcome.minutes, "last_terms": terms}
        print(json.dumps(done, indent=2))
    elif not args.quiet:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in outcome.terms.items())
        print(f"{outcome.folder}: {outcome.steps} steps in {outcome.minutes:.1f} min; last step: {shown}")
    return EXIT_OK


def _curve(args: argparse.Namespace, config: "TrainConfig") -> "Evaluate | None":
    """The scores of --eval-every's points, with the data and the prompts of the training."""
    if not config.eval_every:
        for name in ("eval_tasks", "eval_limit"):
            if name in args:
                raise UserError(f"--{name.replace('_', '-')} wants --eval-every N", hint="example: --eval-every 20")
        return None
    from unlearn_bench.harness.curve import curve_scores
    from unlearn_bench.harness.spec import DataSettings, PromptSettings

    return curve_scores(
        getattr(args, "eval_tasks", ("nano_kfr", "nano_krr")),
        limit=getattr(args, "eval_limit", 32),
        data=DataSettings(data_dir=config.data_dir, data_revision=config.data_revision),
        prompts=PromptSettings(config.prompt, config.thinking, config.template_date),
    )


def _given(args: argparse.Namespace) -> dict[str, object]:
    """What the user set, as fields of `TrainConfig`."""
    given = {key: value for key, value in vars(args).items() if key not in _OWN}
    given |= {"options": parse_options(args.set), "output": str(args.output)}
    if "dataset" in args:
        sets = {side: (spec,) for side, spec in _sets(args, given["options"]).items() if side not in given}
        if not sets:
            raise UserError("--dataset is given, and so are the sets that it stands for", hint="leave it out")
        given |= sets
    return given


def _sets(args: argparse.Namespace, options: dict[str, dict[str, object]]) -> dict[str, str]:
    """The sets that --dataset selects, by side, of those that the method uses."""
    from unlearn_bench.data import default_split
    from unlearn_bench.trainers.method import uses

    name, colon, split = args.dataset.partition(":")
    if colon:
        raise UserError(
            f"--dataset {args.dataset}: the name of a dataset selects two sets",
            hint=f"--forget {name}:{split or 'SPLIT'} --retain {name}:{default_split(name, 'retain')}",
        )
    return {side: f"{name}:{default_split(name, side)}" for side in {"forget", "retain"} & uses(args.method, options)}


class _Show(argparse.Action):
    """Print what there is to choose from, and exit, as --help does."""

    shows = True

    def __init__(self, option_strings: list[str], dest: str, const: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, const=const, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from unlearn_bench.cli import _train_lists

        sys.stdout.write(getattr(_train_lists, self.const)())
        parser.exit()


def parse_options(pairs: Iterable[str]) -> dict[str, dict[str, object]]:
    """Read "npo.beta=0.2" into {"npo": {"beta": 0.2}}; values are JSON, or text where they are none.

    Raises:
        UserError: for a pair of another form.
    """
    options: dict[str, dict[str, object]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        term, dot, option = key.partition(".")
        if not (equals and dot and term and option):
            raise UserError(f"--set {pair}: expected TERM.OPTION=VALUE", hint="example: --set npo.beta=0.2")
        try:
            read = json.loads(value)
        except json.JSONDecodeError:
            read = value
        options.setdefault(term, {})[option] = read
    return options
