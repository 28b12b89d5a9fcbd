"""A chat template is an untrusted program: before use it is rendered once in a separate process with limits.

transformers renders templates in jinja's sandbox, which keeps them from files and from the network, but not from
endless loops or gigabytes of output. Every template is tried, since its text does not show whether it is harmless; the
trial forks, and takes some hundredths of a second.
"""

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from unlearn_bench.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SECONDS = 10
# Bytes of address space beyond what the process has when the trial begins. What its allocator has freed and kept serves
# the template too: the machine gives no more than this, a template may get more.
MEMORY = 1 << 28
LONGEST = 200_000  # characters around one short question
_USER = {"role": "user", "content": "Where was Ada Lima born?"}
_ANSWER = {"role": "assistant", "content": "Ada Lima was born in Oslo."}


def check_template(tokenizer: "PreTrainedTokenizerBase", what: str, hint: str) -> None:
    """Try the chat template, if there is one, on a question and on a question with its answer.

    Args:
        tokenizer: Whose template it is.
        what: The model, as messages call it.
        hint: How to do without the template.

    Raises:
        UserError: if the template does not parse, raises, takes too long or too much memory, or writes too much.
    """
    if not tokenizer.chat_template:
        return
    problem = _limited(_render, tokenizer)
    if problem is not None:
        raise UserError(f"{what}: its chat template {problem}", hint=hint)


def _render(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """What is wrong with the template, or None."""
    try:
        texts = [tokenizer.apply_chat_template([_USER], tokenize=False, add_generation_prompt=True)]
    except MemoryError:
        return f"needs more than {MEMORY >> 20} MiB"
    except Exception as error:  # a template may raise anything
        lines = str(error).strip().splitlines() or ["no message"]
        return f"cannot be used: {type(error).__name__}: {lines[0][:200]}"
    with suppress(Exception):  # a template for single questions is enough
        texts.append(tokenizer.apply_chat_template([_USER, _ANSWER], tokenize=False))
    longest = max(map(len, texts))
    return f"writes {longest:,} characters around one short question" if longest > LONGEST else None


def _limited(call: Callable[..., str | None], argument: object) -> str | None:
    """Run `call` in a process with limits; what it returns, or how it ended."""
    # Only Linux forks safely beside other threads; elsewhere a new interpreter takes seconds, and has no memory limit.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(call, argument, sender), daemon=True)
    process.start()
    sender.close()
    try:
        answered = receiver.poll(SECONDS)
        return receiver.recv() if answered else f"did not finish within {SECONDS} seconds"
    except EOFError:
        return f"needs more than {MEMORY >> 20} MiB or {SECONDS} seconds"
    finally:
        process.kill()
        process.join()
        receiver.close()


def _child(call: Callable[..., str | None], argument: object, sender: Connection) -> None:
    gc.disable()  # garbage of the parent, a model perhaps, would make room below the limit; its finalizers are not ours
    with suppress(ImportError, OSError, ValueError):
        _limit_memory()
    sender.send(call(argument))


def _limit_memory() -> None:
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = used + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
