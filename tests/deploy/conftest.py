"""A small federation of three sites, a link that calls them in this process, and a desk."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request

import numpy as np
import pytest

from fal_bench.data.loading import load_dataset
from fal_bench.deploy.annotating import Desk
from fal_bench.deploy.config import Federation, SiteConfig
from fal_bench.deploy.site import Site
from fal_bench.federation.setting import Setting
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.registry import Registry

NAMES = ("north", "south", "east")
TASK = {
    "dataset": "digits",
    "clients": 3,
    "partition": {"kind": "dirichlet", "alpha": 0.5},
    "model": {"kind": "mlp", "hidden": [4]},
    "rounds": 2,
    "local_epochs": 1,
    "initial_labels": 3,
    "query_size": 2,
    "budget_cap": 21,
}


FEDERATION = """
name = "pets"
sites = ["north"]
classes = ["cat", "dog"]
input_shape = [1, 4, 4]

[task]
clients = 1
initial_labels = 4
query_size = 2
budget_cap = 8
"""
SITE = """
name = "north"
store = "store"
data = { kind = "arrays", path = "north.npz" }
"""


class Calls:
    """A link that calls sites in this process.

    ``messages`` holds everything that was sent, with the verb and the site's name.
    """

    def __init__(self, federation, folder, data=None):
        self.federation, self.folder, self.data = federation, folder, data or {}
        self.messages = []
        self.sites = {}

    def start(self, name):
        """Return a site as a new process would."""
        data = self.data.get(name, {"kind": "share"})
        config = {"name": name, "data": data, "store": self.folder / name}
        return Site(self.federation, SiteConfig.model_validate(config))

    def site(self, name):
        if name not in self.sites:
            self.sites[name] = self.start(name)
        return self.sites[name]

    def ask(self, verb, messages):
        replies = {name: self.site(name).answer(verb, one) for name, one in messages.items()}
        self.messages += [(verb, name, messages[name], replies[name]) for name in messages]
        return replies


@pytest.fixture
def federation():
    """Return a function that makes a federation with other values."""

    def make(strategy="random", **values):
        task = TASK | values.pop("task", {})
        given = {"name": "twin", "sites": NAMES, "classes": list("0123456789")}
        given |= {"input_shape": (1, 8, 8), "patience": 0.01, "strategy": strategy, "task": task}
        return Federation.model_validate(given | values)

    return make


@pytest.fixture
def calls():
    """The link."""
    return Calls


@pytest.fixture
def simulated(run):
    """Return a function that gives the simulator's rows, and what each site would be asked."""

    def simulate(agreed, cycles):
        dataset, made = load_dataset("digits"), Selector.parse(agreed.strategy)
        registry = Registry.discover()
        journal = run(agreed.task, lambda: registry.make(made), dataset, metrics=())
        setting = Setting.draw(agreed.task, agreed.seed, dataset)
        places = [
            {int(sample): place for place, sample in enumerate(own.pool)} for own in setting.shares
        ]
        asked = {name: [] for name in agreed.sites}
        for client, sample, purpose, cycle in journal.charges:
            if cycle < cycles - 1:
                asked[agreed.sites[client]].append((places[client][sample], 0, purpose, cycle))
        return journal.rows[:cycles], {name: sorted(own) for name, own in asked.items()}

    return simulate


class Browser:
    """A real browser, in the hands of somebody who labels."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, address, annotator):
        """Open the page of labels, and say who is there."""
        self.driver.get(address)
        self._find("annotator").send_keys(annotator)
        self._find("who").submit()

    def _find(self, name):
        return self.driver.find_element("id", name)

    def text(self, name):
        """Return what an element says."""
        return self._find(name).text

    def press(self, key):
        self.driver.find_element("tag name", "body").send_keys(key)

    def click(self, name):
        self._find(name).click()

    def wait(self, true):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 60).until(lambda _: true())


@pytest.fixture
def browser():
    """A browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if not (chromium and chromedriver):
        pytest.skip("there is no chromium on the PATH")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    yield Browser(driver)
    driver.quit()


@pytest.fixture
def desk_with(tmp_path):
    """Return a function that gives a site's desk three questions, with more lines in its file."""

    def make(*lines):
        (tmp_path / "federation.toml").write_text(FEDERATION)
        (tmp_path / "north.toml").write_text(SITE + "\n".join(lines))
        samples = np.random.default_rng(0).random((9, 1, 4, 4))
        np.savez(tmp_path / "north.npz", samples=samples)
        desk = Desk(tmp_path / "federation.toml", tmp_path / "north.toml")
        desk.store.ask([3, 5, 7], "initial", 0)
        return desk

    return make


@pytest.fixture
def desk(desk_with):
    """The desk of a site with one vote a sample."""
    return desk_with()


class LabelStudio:
    """A real Label Studio of its own, on SQLite.

    Attributes:
        address: where it listens.
        key: a token of an administrator, of the old kind.
    """

    key = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, program, home):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        home.mkdir()
        command = [
            program, "start", "--no-browser", "--port", str(port), "--data-dir", str(home),
            "--username", "ann@example.org", "--password", "not-a-secret", "--user-token", self.key,
            "--enable-legacy-api-token", "--log-level", "ERROR",
        ]  # fmt: skip
        environment = os.environ | {"HOME": str(home), "COLLECT_ANALYTICS": "false"}
        self._log = home / "log"
        with self._log.open("w") as log:
            given = {"cwd": home, "env": environment, "stdout": log, "stderr": subprocess.STDOUT}
            self.process = subprocess.Popen(command, **given)

    def wait(self, seconds=600):
        end = time.monotonic() + seconds
        while not self._is_up():
            assert time.monotonic() < end, self._log.read_text()
            assert self.process.poll() is None, self._log.read_text()
            time.sleep(0.5)

    def _is_up(self):
        try:
            return urllib.request.urlopen(f"{self.address}/health", timeout=5).status == 200
        except OSError:
            return False

    def call(self, method, path, content=None):
        headers = {"Authorization": f"Token {self.key}", "Content-Type": "application/json"}
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.address}/api/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def tasks(self):
        """Return the tasks of its only project."""
        [project] = self.call("GET", "projects/")["results"]
        found = self.call("GET", f"tasks/?project={project['id']}&fields=all&page_size=1000")
        return found["tasks"]

    def annotate(self, task, label, who=1):
        """Label a task as a person does; return the annotation's number."""
        part = {"from_name": "label", "to_name": "shown", "type": "choices"}
        result = [part | {"value": {"choices": [label]}}]
        content = {"result": result, "completed_by": who}
        return self.call("POST", f"tasks/{task}/annotations/", content)["id"]


@pytest.fixture
def label_studio(tmp_path):
    """A running Label Studio; None where ``FALBENCH_LABEL_STUDIO`` does not name its program."""
    program = os.environ.get("FALBENCH_LABEL_STUDIO")
    if program is None:
        yield None
        return
    server = LabelStudio(program, tmp_path / "label-studio")
    try:
        server.wait()
        yield server
    finally:
        server.process.terminate()
        server.process.wait()
