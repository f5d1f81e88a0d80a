"""Modules that lie beside a plugin file."""

import sys

import pytest

from fal_bench.errors import PluginError
from fal_bench.plugins.registry import Registry

PLUGIN = """
import numpy as np
from fal_bench import Strategy
{imports}

class Mine(Strategy):
    name = "mine"

    def select(self, client, budget):
        return np.arange(budget)
"""


@pytest.fixture(autouse=True)
def own_modules_of_tests():
    """Forget the modules that tests have written."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("falbench_plugin", "aid", "kit")):
            del sys.modules[name]


def test_they_are_found_as_those_of_a_script_and_their_edits_run_runs_again(tmp_path, compare):
    plugins = tmp_path / "plugins"
    (plugins / "kit").mkdir(parents=True)
    (plugins / "mine.py").write_text(PLUGIN.format(imports="import aid\nfrom kit import more"))
    (plugins / "aid.py").write_text("")
    (plugins / "kit" / "__init__.py").write_text("")
    (plugins / "kit" / "more.py").write_text("")

    def runs(**options):
        options |= {"task": "a", "seeds": 1, "plugins": [plugins / "mine.py"]}
        assert not compare(["mine", "random"], **options).missing
        return len(list((tmp_path / "results" / "runs").iterdir()))

    assert runs(jobs=1) == 2
    assert runs(backend="sequential") == 2
    (plugins / "kit" / "more.py").write_text("x = 1")
    assert runs(backend="sequential") == 3


def test_two_folders_with_modules_of_one_name_are_told_apart(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "aid.py").write_text(f"x = {name!r}")
        text = PLUGIN.format(imports="import aid").replace('"mine"', repr(name))
        (tmp_path / name / f"{name}.py").write_text(text)
    registry = Registry.discover([tmp_path / "one", tmp_path / "two"])
    assert registry.fingerprint("one")
    with pytest.raises(PluginError, match=r"'two' .*'aid'"):
        registry.fingerprint("two")


def test_a_file_called_like_an_installed_module_hides_nothing(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN.format(imports="import random, torch"))
    for name in ("random", "torch"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError")
    assert "mine" in Registry.discover([tmp_path / "mine.py"]).names()
