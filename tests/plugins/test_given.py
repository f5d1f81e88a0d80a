"""Plugins given as Python objects: classes and functions of notebooks, scripts and modules."""

import importlib
import linecache
import pickle
import subprocess
import sys
import types

import pandas as pd
import pytest

import fal_bench
from fal_bench.errors import InvalidSpecError, PluginError
from fal_bench.plugins.given import Given, given, named
from fal_bench.plugins.registry import Registry
from fal_bench.strategies.random import Random

SETUP = """
from dataclasses import dataclass
from typing import Annotated, ClassVar
import numpy as np
from pydantic import Field
from fal_bench import Params, Strategy, dataset, metric, model
SCALE = 1.5

@dataclass
class Config:
    offset: float = 0.0

CONFIG = Config()
TABLE = {"weights": np.arange(4), "name": ("a", 2)}

def helper(probs):
    return SCALE * probs.max(axis=1) + TABLE["weights"][0] + CONFIG.offset

class MyParams(Params):
    k: Annotated[int, Field(ge=1)] = 1

UNRELATED = 1
"""

IDEA = """
class MyIdea(Strategy):
    name = "my-idea"
    Params = MyParams

    def select(self, client, budget):
        scores = helper(client.probs(client.global_model))
        return np.argsort(scores, kind="stable")[:budget]
"""


@pytest.fixture
def notebook(monkeypatch):
    """Run a cell in a ``__main__`` without a file, as a notebook does; return its names."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    before = dict(linecache.cache)

    def run(cell):
        name = f"<cell {len(linecache.cache)}>"
        linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
        exec(compile(cell, name, "exec"), vars(main))
        return main

    yield run
    linecache.cache.clear()
    linecache.cache.update(before)


def fingerprint(plugin):
    [found] = given([plugin])
    assert isinstance(found, Given)
    return found.fingerprint


def test_what_a_class_of_a_notebook_names_identifies_it_and_nothing_else_does(notebook):
    notebook(SETUP)
    first = fingerprint(notebook(IDEA).MyIdea)
    assert first.startswith("source ")
    notebook("UNRELATED = 2\nanother = object()")
    assert fingerprint(notebook(IDEA).MyIdea) == first
    for change in (
        "SCALE = 2.5",
        "CONFIG = Config(1.0)",
        "TABLE = {'weights': np.arange(4)[::-1].copy(), 'name': ('a', 2)}",
        "def helper(probs):\n    return probs.min(axis=1)",
        "class MyParams(Params):\n    k: Annotated[int, Field(ge=1)] = 2",
        IDEA.replace("[:budget]", "[-budget:]"),
    ):
        changed = fingerprint(notebook(change).MyIdea)
        assert changed != first
        notebook(SETUP)
        assert fingerprint(notebook(IDEA).MyIdea) == first


def test_decorated_functions_and_metrics_are_identified_alike(notebook):
    notebook(SETUP)
    cell = "@{kind}\ndef own({arguments}):\n    return SCALE * 2\n"
    for kind, arguments in (
        ("dataset", "n=3"), ("model", "shape, n"), ("metric", "labels, probs"),
    ):  # fmt: skip
        text = cell.format(kind=kind, arguments=arguments)
        first = fingerprint(notebook(text).own)
        notebook("SCALE = 9")
        assert fingerprint(notebook(text).own) != first
        notebook(SETUP)


@pytest.mark.parametrize(
    ("cell", "culprit"),
    [
        ("import torch\nnetwork = torch.nn.Linear(2, 2)\nSCALE = network", "'SCALE'"),
        ("import threading\nSCALE = threading.Lock()", "'SCALE'"),
        ("SCALE = [object()]", "'SCALE'"),
    ],
)
def test_what_cannot_be_identified_is_refused_by_name(notebook, cell, culprit):
    notebook(SETUP)
    notebook(cell)
    with pytest.raises(InvalidSpecError, match=f"'my-idea'.*{culprit}"):
        given([notebook(IDEA).MyIdea])


def test_a_class_without_a_source_or_inside_a_function_is_refused(notebook):
    main = notebook(SETUP)
    exec(IDEA, vars(main))
    with pytest.raises(InvalidSpecError, match="'MyIdea'"):
        given([main.MyIdea])

    class Local(fal_bench.Strategy):
        name = "local"

    with pytest.raises(InvalidSpecError, match="'local'"):
        given([Local])


def test_they_travel_by_value_and_are_loaded_in_another_process(notebook, tmp_path):
    notebook(SETUP)
    [found] = given([notebook(IDEA).MyIdea])
    (tmp_path / "given.pickle").write_bytes(pickle.dumps(found))
    program = (
        "import pickle, sys; from fal_bench.plugins.registry import Registry; "
        "one = pickle.load(open(sys.argv[1], 'rb')); registry = Registry.discover([one]); "
        "print(registry.fingerprint('my-idea'), registry.load('my-idea').Params().k)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "given.pickle"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == f"{found.fingerprint} 1"


def test_own_modules_count_and_a_stale_one_is_refused(notebook, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "aid_of_notebook.py").write_text("x = 1\n")
    notebook(SETUP)
    notebook("import aid_of_notebook\ndef helper(probs):\n    return aid_of_notebook.x * probs")
    first = fingerprint(notebook(IDEA).MyIdea)
    (tmp_path / "aid_of_notebook.py").write_text("x = 222\n")
    for _ in range(2):
        with pytest.raises(PluginError, match="'aid_of_notebook'"):
            given([notebook(IDEA).MyIdea])
    notebook("import aid_of_notebook")
    assert fingerprint(notebook(IDEA).MyIdea) != first


def test_classes_of_a_module_are_found_in_its_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "module_of_mine.py"
    file.write_text(SETUP + IDEA)
    module = importlib.import_module("module_of_mine")
    assert given([module.MyIdea, str(file), file]) == (file,)
    names, sources = named([module.MyIdea, module.MyIdea({"k": 3}), "logo[n_init=2]"])
    assert names == ["my-idea", "my-idea[k=3]", "logo[n_init=2]"]
    assert set(sources) == {file}
    assert Registry.discover(sources).load("my-idea").Params().k == 1


def test_built_in_classes_are_names():
    assert named([Random, "logo"]) == (["random", "logo"], [])
    assert named(Random) == (["random"], [])
    assert named("random,logo") == ("random,logo", [])
    assert named(None) == (None, [])


@pytest.mark.parametrize("wrong", [3, object(), int, len])
def test_what_is_no_plugin_is_refused(wrong):
    with pytest.raises(InvalidSpecError, match="plugin"):
        fal_bench.compare("random", plugins=[wrong])


NOTEBOOK = """
import linecache, sys
from pathlib import Path
main = sys.modules["__main__"]
del main.__file__

def run(cell):
    name = f"<cell {{len(linecache.cache)}}>"
    linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
    exec(compile(cell, name, "exec"), vars(main))

run('''
import fal_bench
from fal_bench import metric, model

@model
def my_net(input_shape, n_classes):
    import math
    from collections import OrderedDict
    from torch import nn
    body = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), 6), nn.ReLU())
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(6, n_classes)))

@metric
def halves(labels, probs):
    return float((probs.argmax(axis=1) == labels).mean()) / 2
''')
for setup, backend in (({setup!r}, "processes"), ({changed!r}, "sequential")):
    run(setup)
    run({idea!r})
    run('''
result = fal_bench.compare(
    [MyIdea, MyIdea({{"k": 2}}), "random"], plugins=[my_net, halves], suite={suite!r}, seeds=1,
    task="a", jobs=2, backend=backend, progress=False,
)
assert not result.context.missing, result.context.missing
result.write(Path("results"))
print(len(list(Path("results", "runs").iterdir())))
    ''')
"""


# Not every reader of numbers keeps all bits.
EXACT = {"accuracy": float, "halves": float}


def test_a_notebook_compares_its_own_classes_with_workers(suite, tmp_path):
    file = tmp_path / "tiny.toml"
    file.write_text(file.read_text().replace('kind = "mlp", hidden = [8]', 'kind = "my-net"'))
    program = NOTEBOOK.format(
        setup=SETUP, changed=SETUP.replace("1.5", "2.5"), idea=IDEA, suite=suite
    )
    (tmp_path / "notebook.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "notebook.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", "5"]  # random has run already
    curves = pd.read_csv(tmp_path / "results" / "curves.csv", converters=EXACT)
    assert set(curves.strategy) == {"my-idea", "my-idea[k=2]", "random"}
    assert curves.halves.tolist() == (curves.accuracy / 2).tolist()
