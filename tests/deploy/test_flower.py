"""Flower carries the messages: in its simulation, and between real processes on this machine.

Minutes; in ``tox -e flower``. Each federation is written by ``falbench deploy new``, and the
commands are those of its README.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from fal_bench.data.loading import load_dataset
from fal_bench.deploy.config import read_federation, read_site
from fal_bench.deploy.labels import LabelStore
from fal_bench.deploy.messages import Message
from fal_bench.deploy.samples import read_samples
from fal_bench.federation.setting import Setting

pytest.importorskip("flwr", reason="tox -e flower")
pytestmark = pytest.mark.skipif("FALBENCH_FLOWER" not in os.environ, reason="tox -e flower")
flower = pytest.importorskip("fal_bench.deploy.flower")
SUPERLINK = 1  # the node that says of another one that it is gone

BIN = Path(sys.executable).parent
SUITE = """
[tasks.digits3]
dataset = "digits"
clients = 3
partition = { kind = "dirichlet", alpha = 0.5 }
model = { kind = "mlp", hidden = [4] }
rounds = 1
local_epochs = 1
initial_labels = 3
query_size = 2
budget_cap = 21
"""
STRATEGIES = (
    "random fal-margin logo badge typiclust fed-typiclust fed-probcover fairfal fed-mass"
).split()
PATIENCE = 900


class Machine:
    """Processes of one federation, which end with the test."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "FLWR_HOME": str(folder / "flwr"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            "RAY_TMPDIR": "/tmp/falbench-ray",  # short: sockets lie in it
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *command):
        log = (self.folder / f"{len(self.running)}-{command[0]}.log").open("w")
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.close()
        self.running.append(process)
        return process

    def kill(self, process):
        """End a process and all that it started, as a power cut would."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def run(self, connection):
        """Run the federation to its end; return what was printed."""
        flwr = ["flwr", "run", ".", connection, "--stream"]
        given = {"cwd": self.folder, "env": self.environment, "timeout": PATIENCE}
        done = subprocess.run(flwr, capture_output=True, text=True, **given)
        return done.stdout + done.stderr


@pytest.fixture
def machine(tmp_path, falbench):
    """Return a function that writes a federation and returns its machine and settings."""
    started = []

    def make(strategy, *options, folder="trial"):
        folder = tmp_path / folder
        (tmp_path / "suite.toml").write_text(SUITE)
        sites = ["--sites", "north,south,east", *options]
        code, _, error = falbench(
            "deploy", "new", folder, "--task", tmp_path / "suite.toml", "-s", strategy, *sites
        )
        assert code == 0, error
        started.append(Machine(folder))
        return started[-1], read_federation(folder / "federation.toml")

    yield make
    for one in started:
        for process in reversed(one.running):
            one.kill(process)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def on_port(folder, old, new):
    path = folder / "flwr" / "config.toml"
    path.write_text(path.read_text().replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}"))


def wait_until(true, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.2)


def healthy(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
    except OSError:
        return False


def superlink(machine, port, *options):
    process = machine.start(
        "flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(port),
        "--disable-runtime-dependency-installation", *options,
    )  # fmt: skip
    wait_until(lambda: healthy(port), "the SuperLink")
    return process


def store(machine, site):
    return LabelStore(read_site(machine.folder / "sites" / f"{site}.toml").store)


def cycles(machine):
    path = machine.folder / "server" / "record.json"
    return json.loads(path.read_text())["cycles"] if path.exists() else []


def test_flowers_simulation_runs_a_federation_as_it_is_written(machine, simulated):
    own, agreed = machine("random", "--evaluation-labels", 0)
    port = free_port()
    on_port(own.folder, 8100, port)
    superlink(own, port, "--simulation")
    printed = own.run("trial")
    check_picks(own.folder, agreed, simulated, printed)


def test_flowers_simulation_picks_what_the_simulator_picks(machine, simulated):
    """All strategies take their turns in one run, since its start takes longest."""
    made = {name: machine(name, "--evaluation-labels", 0, folder=name) for name in STRATEGIES}
    own = made[STRATEGIES[0]][0]
    [app] = own.folder.glob("*/app.py")
    app.write_text(IN_TURNS.format(root=str(own.folder.parent), names=STRATEGIES))
    port = free_port()
    on_port(own.folder, 8100, port)
    superlink(own, port, "--simulation")
    printed = own.run("trial")
    for one, agreed in made.values():
        check_picks(one.folder, agreed, simulated, printed)


IN_TURNS = """
from pathlib import Path

from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from fal_bench.deploy.flower import client_app, server_app

ROOT = Path({root!r})
NOW = ROOT / "now"


def of(name, context):
    context.run_config["folder"] = str(ROOT / name)
    return ROOT / name / "federation.toml"


class Client(ClientApp):
    def __call__(self, message, context):
        return client_app(of(NOW.read_text(), context))(message, context)


client = Client()
server = ServerApp()


@server.main()
def main(grid, context):
    for name in {names!r}:
        NOW.write_text(name)
        server_app(of(name, context))(grid, context)
"""


def check_picks(folder, agreed, simulated, printed):
    record = folder / "server" / "record.json"
    assert record.exists(), printed
    assert [one["labels"] for one in json.loads(record.read_text())["cycles"]] == [9, 15, 21]
    _, asked = simulated(agreed, 3)
    stores = {site: LabelStore(folder / "sites" / site) for site in agreed.sites}
    assert {site: sorted(store.charges()) for site, store in stores.items()} == asked


class Grid:
    """A grid whose node of one site is replaced by another one, which answers."""

    def __init__(self):
        self.nodes = [11, 12, 13]
        self.greeted = []

    def get_node_ids(self):
        return self.nodes

    def send_and_receive(self, messages, timeout):
        for one in messages:
            node, kind = one.metadata.dst_node_id, one.metadata.message_type
            if kind == "query.hello":
                self.greeted.append(node)
            gone = node == 12 and kind != "query.hello"
            if gone:
                self.nodes = [11, 22, 13]
            site = {11: "north", 12: "south", 13: "east", 22: "south"}[node]
            yield SimpleNamespace(
                metadata=SimpleNamespace(src_node_id=SUPERLINK if gone else node),
                has_error=lambda gone=gone: gone,
                content=flower._content(Message({"site": site})),
            )


def test_a_site_whose_node_is_gone_is_met_again(machine, monkeypatch):
    identity = pytest.importorskip("flwr.supercore.task_identity").TaskIdentity
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(identity, name, 1, raising=False)
    _, agreed = machine("random")
    grid = Grid()
    replies = flower.FlowerLink(grid, agreed).ask("status", dict.fromkeys(agreed.sites, Message()))
    assert {site: one.facts["site"] for site, one in replies.items()} == {
        site: site for site in agreed.sites
    }
    assert grid.greeted == [11, 12, 13, 22]


class People(threading.Thread):
    """People at all sites: they answer by the store, and stop where they are told to."""

    def __init__(self, machine, agreed, truth):
        super().__init__(daemon=True)
        self.machine, self.agreed, self.truth = machine, agreed, truth
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.5):
            for site in self.agreed.sites:
                own = store(self.machine, site)
                said = [(one.sample, self.truth[site][one.sample]) for one in own.pending()]
                own.answer(said, f"people of {site}", len(self.agreed.classes))


def test_a_deployment_on_this_machine_survives_a_kill_of_the_server_and_of_a_site(machine):
    own, agreed = machine("fairfal", "--evaluation-labels", 15)
    truth = with_data_of_their_own(own, agreed)
    port = free_port()
    on_port(own.folder, 8000, port)
    state = ["--database", str(own.folder / "flwr" / "state.db")]
    link = superlink(own, port, *state)
    nodes = {site: supernode(own, port, site) for site in agreed.sites}
    people = People(own, agreed, truth)
    people.start()
    first = own.start("flwr", "run", ".", "local", "--stream")
    wait_until(lambda: cycles(own), "the first cycle")
    own.kill(nodes["south"])
    nodes["south"] = supernode(own, port, "south")
    wait_until(lambda: len(cycles(own)) > 1, "the second cycle")
    for process in (first, link):
        own.kill(process)
    superlink(own, port, *state)
    printed = own.run("local")
    people.over.set()
    people.join()
    found = cycles(own)
    assert [one["labels"] for one in found] == [9, 15, 21], printed
    stores = [store(own, site) for site in agreed.sites]
    assert found[-1]["paid"] == sum(one.paid() for one in stores) == 21 + 15
    for one in stores:
        assert not one.pending()
        assert len({answer.sample for answer in one.history()}) == len(one.history()) == one.paid()
    check_log(own, agreed)


def supernode(machine, port, site):
    return machine.start(
        "flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}",
        "--port", str(free_port()),
        "--node-config", f"site='{machine.folder}/sites/{site}.toml'",
    )  # fmt: skip


def with_data_of_their_own(machine, agreed):
    """Give each site its samples as arrays without labels; return what people know."""
    import numpy as np

    setting = Setting.draw(agreed.task, agreed.seed, load_dataset(agreed.task.dataset))
    truth = {}
    for number, site in enumerate(agreed.sites):
        ids = setting.shares[number].pool
        path = machine.folder / "sites" / f"{site}.toml"
        np.savez(path.with_suffix(".npz"), samples=setting.dataset.train_features[ids].numpy())
        text = path.read_text()
        assert '{ kind = "share" }' in text
        path.write_text(
            text.replace('{ kind = "share" }', f'{{ kind = "arrays", path = "{site}.npz" }}')
        )
        truth[site] = setting.dataset.train_labels.numpy()[ids].tolist()
    return truth


def check_log(machine, agreed):
    """Nothing but weights, what the strategy gathers, and counts left any site."""
    for site in agreed.sites:
        config = read_site(machine.folder / "sites" / f"{site}.toml")
        shape = list(read_samples(agreed, config).features.shape)
        for line in (config.store / "messages.jsonl").read_text().splitlines():
            one = json.loads(line)
            if one["direction"] == "out":
                assert all(name.startswith(("weights/", "gathered")) for name in one["arrays"])
                assert all(own[1:] != shape for own in one["arrays"].values())
