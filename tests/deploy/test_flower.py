"""Flower carries the messages: in its simulation, and between real processes on this machine.

Minutes; in ``tox -e flower``. Each federation is written by ``falbench deploy new``, and the
commands are those of its README.
"""

import json
import os
import re
import signal
import socket
import ssl
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
from fal_bench.deploy.label_studio import KEY
from fal_bench.deploy.labels import LabelStore
from fal_bench.deploy.messages import DeploymentError, Message
from fal_bench.deploy.site import Site
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
    text = path.read_text().replace("SERVER", "localhost")
    path.write_text(text.replace(f":{old}", f":{new}"))


def wait_until(true, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.2)


def answers(address, machine=None):
    """Whether a server is there; one with TLS has a certificate of the machine's authority."""
    trust = machine and ssl.create_default_context(cafile=machine.folder / "ca.crt")
    try:
        return urllib.request.urlopen(address, timeout=5, context=trust).status == 200
    except OSError:
        return False


def superlink(machine, port, *options):
    process = machine.start(
        "flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(port),
        "--disable-runtime-dependency-installation", *options,
    )  # fmt: skip
    wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), "the SuperLink")
    return process


def store(machine, site):
    config = read_site(machine.folder / "sites" / f"{site}.toml")
    return LabelStore(config.store, config.votes)


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
from copy import copy
from pathlib import Path

from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from fal_bench.deploy.flower import client_app, server_app

ROOT = Path({root!r})
NOW = ROOT / "now"


def of(name, context):
    changed = copy(context)
    changed.run_config = {{**context.run_config, "folder": str(ROOT / name)}}
    return changed


class Client(ClientApp):
    def __call__(self, message, context):
        name = NOW.read_text()
        return client_app(ROOT / name / "federation.toml")(message, of(name, context))


client = Client()
server = ServerApp()


@server.main()
def main(grid, context):
    for name in {names!r}:
        NOW.write_text(name)
        server_app(ROOT / name / "federation.toml")(grid, of(name, context))
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


@pytest.fixture
def in_a_task(monkeypatch):
    """Messages can be made only by a process that Flower has started."""
    identity = pytest.importorskip("flwr.supercore.task_identity").TaskIdentity
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(identity, name, 1, raising=False)


@pytest.mark.usefixtures("in_a_task")
def test_a_site_whose_app_fails_each_time_is_named(machine, monkeypatch):
    _, agreed = machine("random")
    failed = SimpleNamespace(
        metadata=SimpleNamespace(src_node_id=12),
        has_error=lambda: True,
        error=SimpleNamespace(reason="no module"),
    )
    monkeypatch.setattr(Grid, "send_and_receive", lambda *_, **__: [failed])
    link = flower.FlowerLink(Grid(), agreed)
    with pytest.raises(DeploymentError, match=r"12.*hello.*no module"):
        link.ask("status", dict.fromkeys(agreed.sites, Message()))


@pytest.mark.usefixtures("in_a_task")
def test_a_site_whose_node_is_gone_is_met_again(machine):
    _, agreed = machine("random")
    grid = Grid()
    replies = flower.FlowerLink(grid, agreed).ask("status", dict.fromkeys(agreed.sites, Message()))
    assert {site: one.facts["site"] for site, one in replies.items()} == {
        site: site for site in agreed.sites
    }
    assert grid.greeted == [11, 12, 13, 22]


class People(threading.Thread):
    """People at one site: they answer by ``answer`` until they are stopped."""

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer = answer
        self.over = threading.Event()
        self.failed = None

    def run(self):
        try:
            while not self.over.wait(0.5):
                self.answer()
        except Exception as error:
            self.failed = error

    def stop(self):
        self.over.set()
        self.join()
        if self.failed:
            raise self.failed


def by_store(machine, site, truth):
    """Return how two people answer who use a program of their own."""

    def answer():
        own = store(machine, site)
        for who in ("program", "second"):
            asked = own.pending_for(who)
            own.answer([(one.sample, truth[one.sample]) for one in asked], who, 10)

    return answer


def by_page(browser, truth):
    """Return how a person answers who sits at the page: one sample, one key."""

    def answer():
        before = browser.text("left"), browser.text("name")
        if before[0].endswith("to label"):
            browser.press("1234567890"[truth[int(before[1])]])
            browser.wait(lambda: (browser.text("left"), browser.text("name")) != before)

    return answer


def by_label_studio(machine, site, truth, server):
    """Return how a person answers who uses Label Studio, with the commands that fetch and bring."""
    environment = machine.environment | {KEY: server.key}
    given = {"cwd": machine.folder, "env": environment, "check": True, "capture_output": True}

    def exchange(verb):
        subprocess.run(["falbench", "labels", verb, f"sites/{site}.toml", server.address], **given)

    def answer():
        if store(machine, site).pending():
            exchange("export")
            for task in server.tasks():
                if not task["is_labeled"]:
                    server.annotate(task["id"], str(truth[task["data"]["sample"]]))
            exchange("import")

    return answer


def commands(machine, number, **names):
    """Return the commands of a block of the README's part on servers and sites of their own."""
    part = (machine.folder / "README.md").read_text().split("\n## ")[3]
    block = re.findall(r"```bash\n(.*?)```", part, re.DOTALL)[number].replace("\\\n", " ")
    for old, new in names.items():
        block = block.replace(old, new)
    return block.splitlines()


def shell(machine, lines):
    given = {"cwd": machine.folder, "env": machine.environment, "capture_output": True}
    subprocess.run(["bash", "-ec", "\n".join(lines)], check=True, text=True, **given)


def secure_superlink(machine, port, *before):
    """Start the SuperLink of the README, after other commands of it."""
    *_, command = commands(machine, 0, SERVER="localhost")
    shell(machine, before)
    process = machine.start("bash", "-c", "exec " + command.replace("8000", str(port)))
    wait_until(lambda: answers(f"https://localhost:{port}/health", machine), "the SuperLink")
    return process


def secure_supernode(machine, port, site, key=None):
    [command] = [one for one in commands(machine, 3, SERVER="localhost") if f"{site}.key" in one]
    command = command.replace("localhost:8000", f"localhost:{port}")
    command = re.sub(r"--port \d+", f"--port {free_port()}", command)
    if key:
        command = command.replace(f"{site}.key", f"{key}.key").replace(
            f"{site}.toml", f"{key}.toml"
        )
    return machine.start("bash", "-c", command)


@pytest.mark.browser
def test_an_encrypted_deployment_survives_kills_while_people_label(machine, browser, label_studio):
    """The README's own commands: TLS, registered sites, and people at each of them.

    One site is labelled by the page, one by two people a sample, and one in Label Studio where
    there is one (``tox -e label-studio``).
    """
    own, agreed = machine("fairfal", "--evaluation-labels", 15)
    truth = with_data_of_their_own(own, agreed)
    port = free_port()
    on_port(own.folder, 8000, port)
    for site in (*agreed.sites, "stranger"):
        shell(own, commands(own, 1, SITE=site))
    text = (own.folder / "sites" / "north.toml").read_text()
    with (own.folder / "sites" / "south.toml").open("a") as file:
        file.write("votes = 2\n")
    stranger = own.folder / "sites" / "stranger.toml"
    stranger.write_text(text.replace('store = "north"', 'store = "stranger"'))
    link = secure_superlink(own, port, *commands(own, 0, SERVER="localhost")[:-1])
    *register, run = commands(own, 2)
    shell(own, register)
    nodes = {site: secure_supernode(own, port, site) for site in agreed.sites}
    secure_supernode(own, port, "north", key="stranger")
    serve, address = labels_page(own, "north")
    browser.open(address, "ann")
    people = [People(by_page(browser, truth["north"]))]
    people.append(People(by_store(own, "south", truth["south"])))
    if label_studio:
        people.append(People(by_label_studio(own, "east", truth["east"], label_studio)))
    else:
        people.append(People(by_store(own, "east", truth["east"])))
    for one in people:
        one.start()
    first = own.start("bash", "-c", "exec " + run)
    wait_until(lambda: cycles(own), "the first cycle")
    own.kill(nodes["south"])
    nodes["south"] = secure_supernode(own, port, "south")
    wait_until(lambda: len(cycles(own)) > 1, "the second cycle")
    for process in (first, link):
        own.kill(process)
    secure_superlink(own, port)
    printed = own.run("deployment")
    for one in people:
        one.stop()
    own.kill(serve)
    found = cycles(own)
    assert [one["labels"] for one in found] == [9, 15, 21], printed
    stores = {site: store(own, site) for site in agreed.sites}
    paid = {site: one.paid() for site, one in stores.items()}
    assert found[-1]["paid"] == sum(paid.values()) == 21 + 15 + paid["south"] // 2
    by = {"north": {"ann"}, "south": {"program", "second"}, "east": {"program"}}
    if label_studio:
        by["east"] = {"ann@example.org"}
    for site, one in stores.items():
        assert not one.pending()
        said = {(answer.sample, answer.annotator) for answer in one.history()}
        assert len(said) == len(one.history()) == paid[site]
        assert {who for _, who in said} == by[site]
    assert not (own.folder / "sites" / "stranger" / "messages.jsonl").exists()
    check_log(own, agreed)


def labels_page(machine, site):
    """Start the page of the README; return its process and its address."""
    port = free_port()
    process = machine.start(
        "falbench", "labels", "serve", f"sites/{site}.toml", "--port", str(port)
    )
    address = f"http://127.0.0.1:{port}/"
    wait_until(lambda: answers(address), "the page of labels")
    return process, address


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
        shape = list(Site(agreed, config).samples.features.shape)
        for line in (config.store / "messages.jsonl").read_text().splitlines():
            one = json.loads(line)
            if one["direction"] == "out":
                assert all(name.startswith(("weights/", "gathered")) for name in one["arrays"])
                assert all(own[1:] != shape for own in one["arrays"].values())
