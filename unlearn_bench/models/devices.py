"""Where a model runs: a device by name, checked before anything is loaded."""

from unlearn_bench.errors import UserError


def choose_device(device: str | None, *, option: str = "--device") -> str:
    """The device as given, else the first CUDA device, else the CPU.

    Args:
        device: "cpu", "cuda", "cuda:1", …; None to choose.
        option: The option that named it, for messages.

    Raises:
        UserError: if torch does not know the name, or sees no such device.
    """
    import torch

    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except (RuntimeError, ImportError):
        raise UserError(f"{option} {device}: torch knows no such device", hint=f"{option} cpu, or cuda:0") from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        seen = f"{torch.cuda.device_count()} CUDA devices" if torch.cuda.is_available() else "no CUDA device"
        raise UserError(f"{option} {device}: torch sees {seen}", hint=f"{option} cpu, or another device")
    if found.type not in ("cpu", "cuda", "meta") and not _is_there(found):
        raise UserError(f"{option} {device}: no such device on this machine", hint=f"{option} cpu")
    if found.type == "meta":
        raise UserError(f"{option} meta: nothing can be computed there", hint=f"{option} cpu")
    return device


def choose_scorer_device(device: str | None) -> str:
    """Where the models run that score answers: `choose_device` for `--scorer-device`."""
    return choose_device(device, option="--scorer-device")


def _is_there(device: object) -> bool:
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, NotImplementedError, AssertionError, ImportError):
        return False
    return True
