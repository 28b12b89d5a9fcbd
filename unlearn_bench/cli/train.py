"""Unlearn: train a checkpoint to forget one set of rows and to keep another.

A method is one or more terms joined by "+" ("npo+gdr"), each with an optional weight ("0.4*npo+0.4*klr+0.2*gdr"):
  forget terms   ga npo simnpo dpo idk_nll rmu undial wga satimp ceu pdu relearn relearn_dpo
  retain terms   gdr klr klr_released rmu_retain
  step changes   sure memflex, written first ("sure+npo+gdr")
  procedures     retrain task_vector merge whp, alone
A bare name stands for what its paper combines it with ("relearn" is relearn+gdr+klr).

The output is an ordinary Hugging Face checkpoint, or a PEFT adapter with --lora, with a model card. Several GPUs:
  accelerate launch -m unlearn_bench train …        (DDP, FSDP or DeepSpeed, as `accelerate config` says; examples
                                                     are in the package's trainers/accelerate/)

Examples:
  unlearn-bench train --method npo+gdr --model nano-full --forget nano:forget --retain nano:retain --output out/npo
  unlearn-bench train --method relearn --preset tofu --model PATH --forget aug.jsonl --retain tofu:retain90 --output out
"""

import argparse
import json
import os

HELP = "unlearn: train a checkpoint to forget (ReLearn and the methods it is compared with)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags have the names of `TrainConfig`'s fields; a flag left out takes the preset's value, then the default."""
    _what(parser.add_argument_group("what"))
    _how(parser.add_argument_group("how"))
    _run(parser.add_argument_group("the run"))


def _what(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--method", required=True, help="terms joined by +, or a procedure")
    group.add_argument("--model", required=True, help="embedded name, folder or hub id of the model that is to forget")
    group.add_argument("--adapter", default=argparse.SUPPRESS, help="an adapter of that model, merged into it first")
    group.add_argument("--output", required=True, help="folder for the result")
    sets = "file (JSON, JSONL) or DATASET:SPLIT; may be given more than once"
    group.add_argument("--forget", action="append", default=argparse.SUPPRESS, help=sets)
    group.add_argument("--retain", action="append", default=argparse.SUPPRESS, help=sets)
    group.add_argument(
        "--dataset", default=argparse.SUPPRESS, help="short for --forget NAME:forget --retain NAME:retain"
    )
    group.add_argument("--data-dir", default=argparse.SUPPRESS, help="folder with the datasets, in place of the hub")
    group.add_argument("--refusals", default=argparse.SUPPRESS, help="refusals for dpo and idk_nll, one a line")
    group.add_argument(
        "--preset",
        default=argparse.SUPPRESS,
        help="hyper-parameters: the papers' for tofu and knowundo, tuned for nano",
    )


def _how(group: argparse._ArgumentGroup) -> None:
    unset = argparse.SUPPRESS
    group.add_argument(
        "--lora", default=unset, help="train an adapter: r=8,alpha=16,dropout=0.1; none: full fine-tuning"
    )
    group.add_argument(
        "--set", action="append", default=[], metavar="TERM.OPTION=VALUE", help="an option of a term (npo.beta=0.2)"
    )
    group.add_argument("--epochs", type=float, default=unset, help="passes over the forget set (5)")
    group.add_argument("--max-steps", type=int, default=unset, help="stop after so many optimizer steps")
    group.add_argument("--learning-rate", type=float, default=unset, help="peak learning rate of AdamW (1e-5)")
    group.add_argument("--batch-size", type=int, default=unset, help="forget rows per process and micro-batch (4)")
    group.add_argument("--accumulate", type=int, default=unset, help="micro-batches per optimizer step (1)")
    group.add_argument("--weight-decay", type=float, default=unset, help="of AdamW (0)")
    group.add_argument("--warmup", type=float, default=unset, help="share of steps with rising learning rate (0)")
    group.add_argument("--scheduler", default=unset, help="learning-rate schedule, as in transformers (linear)")
    group.add_argument("--max-grad-norm", type=float, default=unset, help="gradient clipping, 0 for none (1)")
    group.add_argument("--max-length", type=int, default=unset, help="tokens of prompt and answer (512)")
    group.add_argument("--style", default=unset, help="prompt style, as in `run` (auto)")
    group.add_argument("--reference", default=unset, help="model before unlearning: auto, adapter, stored, copy (auto)")
    group.add_argument("--trainable", action="append", default=unset, help="regular expression of parameters to train")
    group.add_argument("--precision", choices=("auto", "fp32", "bf16"), default=unset, help="bf16 where it can (auto)")
    group.add_argument("--gradient-checkpointing", action="store_true", default=unset, help="less memory, more time")
    group.add_argument(
        "--no-length-grouping", dest="group_by_length", action="store_false", default=unset, help="steps of any lengths"
    )


def _run(group: argparse._ArgumentGroup) -> None:
    unset = argparse.SUPPRESS
    group.add_argument("--seed", type=int, default=unset, help="order, adapter, refusals, directions (0)")
    group.add_argument("--resume", action="store_true", default=unset, help="go on from the newest checkpoint")
    group.add_argument("--overwrite", action="store_true", default=unset, help="replace an earlier run's output")
    group.add_argument("--save-every", type=int, default=unset, help="steps between checkpoints (one an epoch)")
    group.add_argument("--keep-checkpoints", action="store_true", default=unset, help="keep the last one at the end")
    group.add_argument("--on-divergence", choices=("stop", "continue"), default=unset, help="NaN or huge loss (stop)")
    group.add_argument("--max-loss", type=float, default=unset, help="a term above this has diverged (1e4)")
    group.add_argument("--eval-every", type=int, default=unset, help="steps between points of the forget-retain curve")
    group.add_argument("--eval-tasks", default="nano_kfr,nano_krr", help="tasks of those points, separated by commas")
    group.add_argument("--eval-limit", type=int, default=32, help="rows of each task at each point")
    group.add_argument("--report-to", default=unset, help="as in transformers: tensorboard, wandb, … (none)")
    group.add_argument("--quiet", action="store_true", help="no progress bar")
    group.add_argument("--allow-pickle", action="store_true", default=unset, help="load pickled weights")
    group.add_argument("--trust-remote-code", action="store_true", default=unset, help="run the checkpoint's own code")


def run(args: argparse.Namespace) -> int:
    """Train; 1 if training diverged and was stopped."""
    from unlearn_bench.errors import EXIT_FAILED, EXIT_OK, UserError
    from unlearn_bench.trainers import config as configuration

    given = _given(args)
    if isinstance(given.get("lora"), str):
        given["lora"] = None if given["lora"] == "none" else configuration.Lora.read(given["lora"])
    config = configuration.build(given)
    from unlearn_bench.trainers._divergence import Diverged
    from unlearn_bench.trainers.job import train

    evaluate = None
    if config.eval_every:
        from unlearn_bench.cli._curve import curve_scores

        if args.eval_limit < 1:
            raise UserError(f"--eval-limit must be at least 1, got {args.eval_limit}")

        evaluate = curve_scores(args.eval_tasks.split(","), limit=args.eval_limit)
    try:
        outcome = train(config, evaluate=evaluate, progress=not args.quiet)
    except Diverged as error:
        print(f"unlearn-bench train: {error}")
        return EXIT_FAILED
    terms = ", ".join(f"{name} {value:.4g}" for name, value in outcome.terms.items())
    if os.environ.get("RANK", "0") == "0":  # several processes: one of them speaks
        print(f"{outcome.folder}: {outcome.steps} steps in {outcome.minutes:.1f} min; last step: {terms}")
    return EXIT_OK


def _given(args: argparse.Namespace) -> dict[str, object]:
    """What the user set, as fields of `TrainConfig`."""
    own = {"verb", "module", "set", "dataset", "quiet", "eval_tasks", "eval_limit"}
    given = {key: value for key, value in vars(args).items() if key not in own}
    for side in ("forget", "retain"):
        if "dataset" in args and side not in given:
            given[side] = [f"{args.dataset}:{side}"]
    for key in ("forget", "retain", "trainable"):
        if key in given:
            given[key] = tuple(given[key])
    given["options"] = parse_options(args.set)
    return given


def parse_options(pairs: list[str]) -> dict[str, dict[str, object]]:
    """Read "npo.beta=0.2" into {"npo": {"beta": 0.2}}; values are JSON, or text where they are none.

    Raises:
        UserError: for a pair of another form.
    """
    from unlearn_bench.errors import UserError

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
