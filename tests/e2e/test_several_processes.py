"""Two processes, and what one gives: on one machine, and on two that share a disk (network namespaces with a cable).

Each process imports torch anew, so a launch runs several commands: there are three, for all the tests of this file.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from tests.e2e import test_train_cli
from tests.e2e.test_train_cli import _arguments
from tests.servers import free_port
from tests.several import STAY
from tests.tiny_training import trajectory, weights
from unlearn_bench import results
from unlearn_bench.cli import main

pytestmark = pytest.mark.slow
inputs = test_train_cli.inputs  # a fixture
PORT = "29541"  # of a network that nobody else is in
PLAIN = ("npo+gdr", "relearn", "memflex+npo+gdr", "pdu", "sure+ga+gdr")
SHARDED = {"npo": ("--method", "npo+gdr"), "lora": ("--method", "relearn", "--lora", "r=2,alpha=4,dropout=0")}
REFUSED = {  # what looks at whole parameters
    "sure": ("--method", "sure+ga+gdr"),
    "curve": ("--method", "ga+gdr", "--eval-every", "1"),
}
LONG = ("--method", "ga+gdr", "--epochs", "8")  # is killed at its first checkpoint
SCORED = ("--limit", "13", "--batch-size", "4")


class Hosts:
    """Two network namespaces with an address each."""

    def __init__(self) -> None:
        self.names = [f"unlearn{os.getpid()}{k}" for k in "ab"]
        self.addresses = ["10.99.0.1", "10.99.0.2"]

    def make(self) -> None:
        """Make the namespaces and the cable between them."""
        a, b = self.names
        _ip("link", "add", f"{a[-8:]}", "type", "veth", "peer", "name", f"{b[-8:]}")
        for name, address in zip(self.names, self.addresses, strict=True):
            _ip("netns", "add", name)
            _ip("link", "set", name[-8:], "netns", name)
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", name[-8:])
            _ip("-n", name, "link", "set", name[-8:], "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Remove both, and with them the cable."""
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def start(self, command: Callable[[int], Sequence[str]]) -> list[subprocess.Popen[str]]:
        """Start `command(rank)` on each host."""
        return [
            subprocess.Popen(
                ["ip", "netns", "exec", name, sys.executable, *command(rank)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": name[-8:]},
            )
            for rank, name in enumerate(self.names)
        ]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts | None]:
    """Two hosts; None where network namespaces are not permitted, and all is launched on this machine."""
    made = Hosts()
    try:
        made.make()
    except (FileNotFoundError, subprocess.CalledProcessError):
        made.remove()
        yield None
        return
    yield made
    made.remove()


def test_the_hosts_are_two(hosts: Hosts | None) -> None:
    if hosts is None:
        pytest.skip("two hosts need the program ip (iproute2) and permission to make network namespaces")
    # each has its end of the cable, and neither the other's nor this machine's network
    code = "import socket; print([name for _, name in socket.if_nameindex()])"
    said = [process.communicate()[0] for process in hosts.start(lambda _: ["-c", code])]
    ends = [name[-8:] for name in hosts.names]
    assert [[end in names for end in ends] for names in said] == [[True, False], [False, True]]


def _start(hosts: Hosts | None, command: Callable[[int], Sequence[str]], here: Sequence[str]) -> list[subprocess.Popen]:
    """A command on each of two hosts, or without them what launches two processes here."""
    if hosts is not None:
        return hosts.start(command)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return [subprocess.Popen([sys.executable, *here], stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=environment)]


def _finish(processes: list[subprocess.Popen[str]]) -> str:
    """What they print, once they have ended well."""
    said = [process.communicate(timeout=900) for process in processes]
    assert {process.returncode for process in processes} == {0}, [err[-2000:] for _, err in said]
    return "".join(out for out, _ in said)


def _torchrun(hosts: Hosts | None, commands: list[list[str]]) -> list[subprocess.Popen[str]]:
    work = ("-m", "tests.several", json.dumps(commands))
    run = ("-m", "torch.distributed.run")
    master = ("--master-addr", "10.99.0.1", "--master-port", PORT)
    two = ("--nnodes", "2", "--nproc-per-node", "1", *master)
    here = [*run, "--nproc-per-node", "2", "--standalone", *work]
    return _start(hosts, lambda rank: [*run, *two, "--node-rank", str(rank), *work], here)


def _accelerate(hosts: Hosts | None, config: Path, commands: list[list[str]]) -> list[subprocess.Popen[str]]:
    work = ("-m", "tests.fsdp_cpu", json.dumps(commands))
    launch = ("-m", "accelerate.commands.launch", "--config_file", str(config), "--num_processes", "2")
    main_process = ("--main_process_ip", "10.99.0.1", "--main_process_port", PORT)
    two = ("--num_machines", "2", *main_process)
    here = [*launch, "--main_process_port", str(free_port()), *work]
    return _start(hosts, lambda rank: [*launch, *two, "--machine_rank", str(rank), *work], here)


def _same(one: Path, two: Path) -> None:
    record = json.loads((two / "training.json").read_text(encoding="utf-8"))
    assert record["hyperparameters"]["processes"] == 2
    for a, b in zip(trajectory(one), trajectory(two), strict=True):
        for name in (key for key in a if "/" in key or key == "loss"):
            assert a[name] == pytest.approx(b[name], rel=5e-5, abs=1e-6), name
    found = weights(two)
    for name, value in weights(one).items():
        assert (value - found[name]).abs().mean() < 1e-6, name
        assert torch.isfinite(value).all()


def test_two_hosts_train_and_score_as_one_process_does(
    hosts: Hosts | None,
    inputs: dict[str, str],
    run: Callable[..., tuple[int, Path]],
    run_arguments: list[str],
    tmp_path: Path,
) -> None:
    """Batches of 2 in each process are those of 4 in one."""
    commands = []
    for method in PLAIN:
        commands.append(_arguments(inputs, tmp_path / "two" / method, "--method", method, "--batch-size", "2"))
        commands[-1].remove("--quiet")
    commands.append(["run", *run_arguments, *SCORED, "--output", str(tmp_path / "two" / "run"), "--quiet"])
    processes = _torchrun(hosts, commands)
    _, scored = run(*SCORED, output="one")
    for method in PLAIN:
        assert main(_arguments(inputs, tmp_path / method, "--method", method, "--batch-size", "4")) == 0
    said = _finish(processes)
    assert said.count("exit code 0\n") == 2 * len(commands), said
    assert said.count(" steps in ") == len(PLAIN)  # one process speaks
    for method in PLAIN:
        _same(tmp_path / method, tmp_path / "two" / method)
    assert (scored / "samples.jsonl").read_bytes() == (tmp_path / "two" / "run" / "samples.jsonl").read_bytes()
    assert results.read_result(scored).tasks == results.read_result(tmp_path / "two" / "run").tasks


def test_sharded_on_one_machine_and_resumed_on_two_hosts_equals_one_process(
    hosts: Hosts | None, inputs: dict[str, str], tmp_path: Path
) -> None:
    text = (ROOT / "unlearn_bench/trainers/accelerate/fsdp.yaml").read_text(encoding="utf-8")
    config = tmp_path / "fsdp.yaml"
    config.write_text(text.replace("use_cpu: false", "use_cpu: true"), encoding="utf-8")

    def double(name: str, *more: str) -> list[str]:
        return _arguments(inputs, tmp_path / "two" / name, *more, "--batch-size", "2")

    long = double("long", *LONG, "--save-every", "2")
    commands = [double(name, *more) for name, more in {**SHARDED, **REFUSED}.items()]
    said = _killed(_accelerate(None, config, [*commands, [STAY, *long]]), tmp_path / "two" / "long")
    assert said.count("exit code 0\n") == 2 * len(SHARDED), said
    assert said.count("exit code 2\n") == 2 * len(REFUSED), said
    assert said.count("looks at whole parameters") >= 2
    # on the two hosts from its checkpoint on, and another from the beginning
    processes = _accelerate(hosts, config, [[*long, "--resume"], double("again", *SHARDED["npo"])])
    trained = {**SHARDED, "long": LONG}
    for name, more in trained.items():
        assert main(_arguments(inputs, tmp_path / name, *more, "--batch-size", "4")) == 0
    said = _finish(processes)
    assert said.count("exit code 0\n") == 4, said
    for name in trained:
        _same(tmp_path / name, tmp_path / "two" / name)
    _same(tmp_path / "npo", tmp_path / "two" / "again")


def _killed(processes: list[subprocess.Popen[str]], output: Path) -> str:
    """End a training whose two processes stay at its first checkpoint; what was printed."""
    while len(list(output.glob(f"{STAY}?"))) < 2:
        assert all(process.poll() is None for process in processes), [p.communicate()[1][-2000:] for p in processes]
        time.sleep(0.05)
    for process in processes:
        process.terminate()  # the launcher ends its workers, each in a session of its own
    said = [text for process in processes for text in process.communicate(timeout=900)]
    for stays in output.glob(f"{STAY}?"):
        stays.unlink()
    assert not (output / "training.json").exists()
    return "".join(said)
