"""What can be found wrong with a run before a model is loaded."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from unlearn_bench.data.pairs import Pair
from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.trainers import RECIPES
from unlearn_bench.trainers._reference import KINDS
from unlearn_bench.trainers.config import TrainConfig
from unlearn_bench.trainers.method import Method, taking_refusals, uses

log = logging.getLogger(__name__)


def check_names(config: TrainConfig) -> None:
    """Names that transformers or re would refuse with a traceback, some of them at the end of a long set-up.

    Raises:
        UserError: for an unknown schedule or reporting tool, one that is not installed, or a broken expression.
    """
    from transformers.trainer_utils import SchedulerType

    for what, name, known in (
        ("--scheduler", config.scheduler, [kind.value for kind in SchedulerType]),
        ("--reference-from", config.reference_from, KINDS),
    ):
        if name not in known:
            raise did_you_mean(what, name, known)
    for pattern in config.trainable:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"--trainable {pattern}: no regular expression: {error}") from None
    _check_report_to(config.report_to)


def _check_report_to(name: str) -> None:
    from transformers.integrations import integration_utils

    if name in ("none", "all"):
        return
    known = integration_utils.INTEGRATION_TO_CALLBACK
    if name not in known:
        raise did_you_mean("--report-to", name, ["none", "all", *known])
    if name not in integration_utils.get_available_reporting_integrations():
        raise UserError(f"--report-to {name}: it is not installed", hint=f"pip install {name}, or --report-to none")


def check_method(config: TrainConfig) -> None:
    """Options that the chosen method or rows would ignore (probably a mistake).

    Raises:
        UserError: for a set, reference, list of refusals or curve that the method has no use for, or a folder of
            datasets where none is read.
    """
    used = uses(config.method, config.options)
    name = config.method
    retain = f"train with {name}+gdr, or leave out --retain" if name not in RECIPES.names() else "leave out --retain"
    for what, given, hint in (
        ("forget", config.forget, "add a forget term (npo+gdr), or leave out --forget"),
        ("retain", config.retain, retain),
        ("reference", config.reference_from != "auto", "leave out --reference-from"),
        ("refusals", config.refusals, f"leave out --refusals; {' and '.join(taking_refusals())} take them"),
        ("raw", config.raw, "leave out --raw; relearn and its like learn the answers of --forget"),
        ("curve", config.eval_every, "leave out --eval-every, and score the result with `unlearn-bench run`"),
    ):
        if given and what not in used:
            flag = {"curve": "eval-every", "reference": "reference-from"}.get(what, what)
            raise UserError(f"--{flag} is given, and method {name} does not use it", hint=hint)
    files = all(Path(spec).expanduser().is_file() for spec in (*config.forget, *config.retain))
    if (config.data_dir or config.data_revision) and files and not config.eval_every:
        flag = "--data-dir" if config.data_dir else "--data-revision"
        raise UserError(
            f"{flag} is given, and no dataset is read: --forget and --retain are files", hint="leave it out"
        )
    if config.lora is not None and config.trainable:
        raise UserError("--trainable is given, and --lora trains its adapter only", hint="leave out one of them")
    if config.scheduler == "constant" and (config.warmup or config.warmup_epochs):
        raise UserError(
            "--scheduler constant has no warm-up",
            hint="--scheduler constant_with_warmup, or --warmup 0",
        )


def check_replacements(methods: Sequence[Method], rows: Mapping[str, Sequence[Pair]], *, raw: bool) -> None:
    """Which answers a method learns must be those that it should learn.

    Args:
        methods: What is minimised.
        rows: By side.
        raw: The user insists that the answers of the forget rows are to be learned.

    Raises:
        UserError: if a method learns answers that nothing marks as replacements, or cannot learn from raw text.
    """
    forget = rows.get("forget", ())
    for method in methods:
        learned = [term.name for term in method.terms if term.loss.replaces]
        secret = [row for row in forget if not row.augmented or row.answer == row.original]
        if learned and secret and not raw:
            raise UserError(
                f"{learned[0]} learns the answers of --forget, and {len(secret)} of {len(forget)} rows are not marked "
                "as written by `augment`: it would learn what it is to forget",
                hint="make them with `unlearn-bench augment --dataset FILE --output NEW.jsonl`; "
                "--raw if these answers give nothing away",
            )
        if not method.needs("preferred_"):
            continue
        if any(row.raw for row in forget):
            raise UserError(
                f"{method.name} prefers one answer to another, and raw text answers nothing",
                hint="give rows of question and answer, or take ga, npo or another method without preferences",
            )
        original = method.forgets_original
        same = [row.id for row in forget if row.answer == (row.original if original else row.preferred)]
        if same:
            raise UserError(
                f"{len(same)} rows prefer the very answer that is to be forgotten, example: row {same[0]}",
                hint=f"write into {'answer' if original else 'preferred_answer'} what the model should say instead",
            )


def check_sets(rows: Mapping[str, Sequence[Pair]]) -> None:
    """Pairs in both the forget and the retain set have opposing losses.

    Raises:
        UserError: if both sets are the same; a smaller overlap is a warning.
    """
    forget, retain = ({(r.question, r.answer) for r in rows.get(side, ())} for side in ("forget", "retain"))
    if forget and forget == retain:
        raise UserError(
            "--forget and --retain are the same pairs", hint="example: --forget nano:forget --retain nano:retain"
        )
    if both := forget & retain:
        log.warning("%d pairs are to be forgotten and to be retained, example: %r", len(both), min(both)[0])
