"""Flags that more than one verb has: declared once, so that a name means the same and reads values alike in each.

A verb adds its own default and a few words (`more`); a test compares all parsers with this table.
"""

import argparse
import os
from pathlib import Path

from unlearn_bench.cli import _parser

DTYPES = ("auto", "float32", "bfloat16", "float16")
_SWITCH = {"action": "store_true"}
_NAMES = {"action": _parser.Listed, "type": _parser.names, "metavar": "A,B,…"}

FLAGS: dict[str, dict[str, object]] = {
    # models
    "--model": {
        "metavar": "MODEL",
        "help": "embedded or packaged name (nano-full, smollm2-135m), folder, GGUF file, or hub id",
    },
    "--adapter": {"metavar": "PATH", "help": "PEFT adapter to apply; none: leave out that of the folder"},
    "--tokenizer": {"metavar": "FOLDER", "help": "folder of a tokenizer"},
    "--original": {"metavar": "MODEL", "help": "the checkpoint before unlearning"},
    "--oracle": {"metavar": "MODEL", "help": "a checkpoint that never saw the forget set"},
    "--dtype": {"choices": DTYPES, "help": "float type that the model computes in"},
    "--device": {"help": "cpu, cuda, cuda:1, … (default: cuda where there is one)"},
    "--allow-pickle": {**_SWITCH, "help": "load weights that can run code when loaded"},
    "--trust-remote-code": {**_SWITCH, "help": "run code that comes with a model"},
    "--allow-partial": {**_SWITCH, "help": "accept a model of which weights are missing or do not fit"},
    "--prompt": {"metavar": "STYLE", "help": "how questions are asked: auto, auto-plain, chat, qa, tofu or plain"},
    "--thinking": {
        "choices": ("model", "on", "off"),
        "help": "the switch of chat templates that have one; model: the template's own",
    },
    "--template-date": {
        "metavar": "YYYY-MM-DD",
        "help": "date that chat templates write; also: today (default: 2024-07-26)",
    },
    "--answer-end": {
        "choices": ("turn", "open-unlearning", "none"),
        "help": "what ends a given answer whose likelihood is asked; turn: the template's end of a turn, else EOS "
        "(default: turn, with --parity open-unlearning as there)",
    },
    # data
    "--tasks": {**_NAMES, "help": "tasks and groups, or patterns (tofu_*)"},
    "--dataset": {"metavar": "NAME", "help": "a dataset by name: nano, tofu, knowundo, …"},
    "--data-dir": {"metavar": "DIR", "help": "folder of the datasets, instead of the hub"},
    "--data-revision": {"metavar": "COMMIT", "help": "commit of the hub datasets"},
    "--forget-split": {"choices": ("forget01", "forget05", "forget10"), "help": "TOFU's forget set"},
    "--limit": {
        "type": _parser.limit,
        "metavar": "N",
        "help": "only the first N questions (of each task), or a share < 1",
    },
    "--batch-size": {"type": _parser.POSITIVE, "metavar": "N", "help": "rows at a time"},
    "--positives": {
        "type": _parser.whole(3),
        "metavar": "N",
        "help": "at most N models that know the forget facts",
    },
    "--negatives": {
        "type": _parser.whole(3),
        "metavar": "N",
        "help": "at most N models that never saw the forget facts",
    },
    "--depth": {**_SWITCH, "help": "also measure unlearning depth (UDS) of every model"},
    "--lens": {**_SWITCH, "help": "also read every model's layers through its output head (logit lens)"},
    "--ways": {**_NAMES, "help": "judge KFR and KRR also by other ways: local, minilm-l6"},
    "--seed": {"type": _parser.SEED, "metavar": "N", "help": "of every random choice"},
    "--max-steps": {"type": _parser.POSITIVE, "metavar": "N", "help": "end training after N optimizer steps"},
    "--metrics": {**_NAMES, "help": "only these metrics"},
    "--first-answer": {
        "action": argparse.BooleanOptionalAction,
        "help": "score the answer only, or all that was generated, thinking and ramblings too",
    },
    # the tables of methods
    "--checkpoints": {**_NAMES, "default": (), "help": "only these"},
    "--methods": {
        "action": _parser.Listed,
        "type": _parser.rows,
        "metavar": "A,B,…",
        "help": "only these rows of the table (--list names them)",
    },
    "--seeds": {"action": _parser.Listed, "type": _parser.SEEDS, "metavar": "N,…", "help": "a model for each"},
    "--jobs": {
        "type": _parser.POSITIVE,
        "default": min(2, os.cpu_count() or 1),
        "metavar": "N",
        "help": "processes at a time",
    },
    "--keep": {"type": Path, "metavar": "DIR", "help": "keep the trained checkpoints here"},
    "--list": {**_SWITCH, "help": "show the rows and the estimated time, and do nothing"},
    "--diagnose": {
        **_NAMES,
        "default": (),
        "help": "look inside: token_distribution, logit_lens, circuits, depth, weights",
    },
    "--stress": {
        **_NAMES,
        "default": (),
        "help": "quick, full, or stresses and their variants: does the forgotten come back?",
    },
    "--strict": {**_SWITCH, "help": "let nothing pass that could not be done"},
    # results and boards
    "--calibration": {
        "type": Path,
        "metavar": "FILE",
        "help": "show KFR and KRR without the judge's error too; `unlearn-bench calibrate` writes the file",
    },
    "--labels": {
        "type": Path,
        "metavar": "FILE",
        "help": "the same by your labels of these answers: a sheet of `unlearn-bench label`, filled in",
    },
    "--samples": {"type": Path, "metavar": "FILE", "help": "samples.jsonl of the result; next to it by default"},
    "--logs": {
        "type": Path,
        "metavar": "DIR",
        "help": "folder of published logs, for the rows of a board that were scored from one",
    },
    "--leaderboard": {"type": Path, "metavar": "FILE", "help": "the board's JSON file"},
    "--submitter": {"metavar": "NAME", "help": "who submits"},
    "--rescore": {"action": argparse.BooleanOptionalAction, "help": "compute the evidence again from the responses"},
    "--check": {**_SWITCH, "help": "change nothing; exit 1 if something would change"},
    # output
    "--output": {"type": Path, "metavar": "PATH", "help": "where to write"},
    "--overwrite": {**_SWITCH, "help": "replace what is already there"},
    "--plots": {"action": argparse.BooleanOptionalAction, "help": "also draw pictures; needs matplotlib"},
    "--quiet": {**_SWITCH, "help": "print nothing but errors"},
    "--json": {**_SWITCH, "help": "print JSON instead of text"},
    "--format": {"help": "how to print"},
    "--config": {
        "metavar": "FILE",
        "help": "YAML file of flags and values (limit: 10); flags of the command line win",
    },
}


def add(group: argparse._ActionsContainer, name: str, more: str = "", **settings: object) -> None:
    """Declare a shared flag.

    Args:
        group: A parser or a group.
        name: A key of `FLAGS`.
        more: What this verb says after the shared help.
        settings: What this verb sets: `default`, `required`, and what only makes values narrower or wider (`choices`).
    """
    shared = FLAGS[name]
    group.add_argument(name, **{**shared, **settings, "help": f"{shared['help']}{more}"})


def add_trust(group: argparse._ActionsContainer, *, default: object = False, partial: bool = True) -> None:
    """Declare what a verb that loads models may be allowed."""
    for name in ("--allow-pickle", "--trust-remote-code", *(("--allow-partial",) if partial else ())):
        add(group, name, default=default)


def add_prompt(group: argparse._ActionsContainer, *, unset: bool = False) -> None:
    """Declare how the judged model is asked; `unset`: no default, as a preset may have one."""
    none = argparse.SUPPRESS
    add(group, "--prompt", " (default: auto)", default=none if unset else "auto")
    add(group, "--thinking", " (default: model)", default=none if unset else "model")
    add(group, "--template-date", default=none if unset else None)


def template_date(args: argparse.Namespace) -> str:
    """What `--template-date` says, as YYYY-MM-DD.

    Raises:
        UserError: if it is not a date.
    """
    from unlearn_bench.chat_template import DATE, read_date

    return read_date(args.template_date or DATE)
