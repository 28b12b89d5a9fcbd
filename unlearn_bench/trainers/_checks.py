"""What can be found wrong with a run before a model is loaded."""

import logging
import re
from collections.abc import Mapping, Sequence

from unlearn_bench.errors import UserError
from unlearn_bench.registry import did_you_mean
from unlearn_bench.trainers._data import TrainingRow
from unlearn_bench.trainers._reference import KINDS
from unlearn_bench.trainers.config import TrainConfig

log = logging.getLogger(__name__)


def check_names(config: TrainConfig) -> None:
    """Names that transformers or re would refuse with a traceback, some of them at the end of a long set-up.

    Raises:
        UserError: for an unknown schedule or reporting tool, one that is not installed, or a broken expression.
    """
    from transformers.trainer_utils import SchedulerType

    for what, name, known in (
        ("--scheduler", config.scheduler, [kind.value for kind in SchedulerType]),
        ("--reference", config.reference, KINDS),
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


def check_sets(rows: Mapping[str, Sequence[TrainingRow]]) -> None:
    """Pairs to be forgotten and retained at once pull both ways.

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
