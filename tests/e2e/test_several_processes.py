"""Two machines that share a disk: two network namespaces joined by a cable, one process in each."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.e2e import test_train_cli
from tests.e2e.test_train_cli import ROOT, _arguments, _same
from unlearn_bench import results
from unlearn_bench.cli import main

pytestmark = pytest.mark.slow
inputs = test_train_cli.inputs  # a fixture
PORT = "29541"  # of a network that nobody else is in


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


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    if shutil.which("ip") is None:
        pytest.skip("needs the program ip (iproute2)")
    made = Hosts()
    try:
        made.make()
    except subprocess.CalledProcessError as error:
        made.remove()
        pytest.skip(f"network namespaces are not permitted here: {error.stderr.strip()}")
    yield made
    made.remove()


def _finish(processes: list[subprocess.Popen[str]]) -> None:
    said = [process.communicate(timeout=900) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], [err[-2000:] for _, err in said]


def _torchrun(rank: int) -> list[str]:
    master = ("--master-addr", "10.99.0.1", "--master-port", PORT)
    return ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(rank), *master]


def _accelerate(rank: int, config: Path) -> list[str]:
    main_process = ("--main_process_ip", "10.99.0.1", "--main_process_port", PORT)
    machines = ("--num_machines", "2", "--num_processes", "2", "--machine_rank", str(rank))
    return ["-m", "accelerate.commands.launch", "--config_file", str(config), *machines, *main_process]


def test_two_hosts_score_as_one_process_does(
    hosts: Hosts, run: Callable[..., tuple[int, Path]], run_arguments: list[str], tmp_path: Path
) -> None:
    _, one = run("--limit", 13, "--batch-size", 4, output="one")
    asked = ("run", *run_arguments, "--limit", "13", "--batch-size", "4", "--output", str(tmp_path / "two"), "--quiet")
    _finish(hosts.start(lambda rank: [*_torchrun(rank), "-m", "unlearn_bench", *asked]))
    assert (one / "samples.jsonl").read_bytes() == (tmp_path / "two" / "samples.jsonl").read_bytes()
    assert results.read_result(one).tasks == results.read_result(tmp_path / "two").tasks


def test_two_hosts_train_as_one_process_does(hosts: Hosts, inputs: dict[str, str], tmp_path: Path) -> None:
    method = ("--method", "npo+gdr")
    assert main(_arguments(inputs, tmp_path / "one", *method, "--batch-size", "4")) == 0
    double = _arguments(inputs, tmp_path / "two", *method, "--batch-size", "2")
    _finish(hosts.start(lambda rank: [*_torchrun(rank), "-m", "unlearn_bench", *double]))
    _same(tmp_path / "one", tmp_path / "two")


def test_sharded_over_two_hosts_and_resumed_equals_one_process(
    hosts: Hosts,
    inputs: dict[str, str],
    tmp_path: Path,
) -> None:
    text = (ROOT / "unlearn_bench/trainers/accelerate/fsdp.yaml").read_text(encoding="utf-8")
    config = tmp_path / "fsdp.yaml"
    config.write_text(text.replace("use_cpu: false", "use_cpu: true"), encoding="utf-8")
    more = ("--method", "ga+gdr", "--epochs", "8")
    assert main(_arguments(inputs, tmp_path / "one", *more, "--batch-size", "4")) == 0
    double = _arguments(inputs, tmp_path / "two", *more, "--batch-size", "2", "--save-every", "2")

    def command(rank: int, *resumed: str) -> list[str]:
        return [*_accelerate(rank, config), "-m", "tests.fsdp_cpu", json.dumps([[*double, *resumed]])]

    processes = hosts.start(command)
    while not list((tmp_path / "two").glob("checkpoint-*/trainer_state.json")):
        assert all(process.poll() is None for process in processes), [p.communicate()[1][-2000:] for p in processes]
        time.sleep(0.05)
    for process in processes:
        process.terminate()  # the launcher ends its worker, which is in a session of its own
    for process in processes:
        process.communicate(timeout=120)
    assert not (tmp_path / "two" / "training.json").exists()
    _finish(hosts.start(lambda rank: command(rank, "--resume")))
    _same(tmp_path / "one", tmp_path / "two")
    assert json.loads((tmp_path / "two" / "training.json").read_text())["hyperparameters"]["processes"] == 2
