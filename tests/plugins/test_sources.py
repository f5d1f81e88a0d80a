"""What counts as a plugin's source: its own file, and its author's modules that it imports."""

import hashlib
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from fal_bench.errors import PluginError
from fal_bench.plugins import sources
from fal_bench.registry import Registry

PLUGIN = """
import numpy as np
from fal_bench import Strategy
{imports}

class Mine(Strategy):
    name = "mine"

    def select(self, client, budget):
        return np.arange(budget)
"""


@pytest.fixture
def new_process(monkeypatch):
    """Forget the modules that tests have written, as a new process would."""
    before = set(sys.modules)

    def forget():
        for name in set(sys.modules) - before:
            if name.startswith(("falbench_plugin", "aid", "kit")):
                del sys.modules[name]
        monkeypatch.setattr(sources, "_imported_with", {})

    forget()
    yield forget
    forget()


@pytest.fixture
def folder(tmp_path, monkeypatch, new_process):
    """A folder that modules are imported from."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def fingerprint(folder, new_process):
    def of(imports="import aid"):
        new_process()
        (folder / "mine.py").write_text(PLUGIN.format(imports=imports))
        return Registry.discover([folder / "mine.py"]).fingerprint("mine")

    return of


def changes(fingerprint, file, imports="import aid"):
    """Whether editing a file, a byte more, changes the fingerprint; the edit is undone."""
    before = fingerprint(imports)
    text = file.read_text()
    file.write_text(f"{text}#")
    after = fingerprint(imports)
    file.write_text(text)
    assert fingerprint(imports) == before
    return after != before


def test_a_plugin_of_one_file_is_its_bytes(fingerprint, folder):
    (folder / "aid.py").write_text("")
    alone = fingerprint(imports="import json, torch")
    digest = hashlib.sha256((folder / "mine.py").read_bytes()).hexdigest()
    assert alone == f"source {digest}"
    assert (
        fingerprint() != f"source {hashlib.sha256((folder / 'mine.py').read_bytes()).hexdigest()}"
    )


@pytest.mark.parametrize(
    "imports",
    [
        "import aid",
        "from aid import *",
        "def later():\n    import aid",
        "try:\n    import aid\nexcept ImportError:\n    pass",
        "import json, aid as other",
    ],
)
def test_a_module_beside_it_counts_however_it_is_imported(fingerprint, folder, imports):
    (folder / "aid.py").write_text("")
    (folder / "bystander.py").write_text("")
    assert changes(fingerprint, folder / "aid.py", imports)
    assert not changes(fingerprint, folder / "bystander.py", imports)


def test_what_it_imports_in_turn_counts_also_in_circles(fingerprint, folder):
    (folder / "aid.py").write_text("import aid_2")
    (folder / "aid_2.py").write_text("import aid, aid_3")
    (folder / "aid_3.py").write_text("")
    for name in ("aid", "aid_2", "aid_3"):
        assert changes(fingerprint, folder / f"{name}.py")


def test_modules_of_a_package_count_by_what_is_imported(fingerprint, folder):
    package = folder / "kit"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "scores.py").write_text("from . import base\nfrom .deep.more import x")
    (package / "base.py").write_text("")
    (package / "deep" / "__init__.py").write_text("from ..base import *")
    (package / "deep" / "more.py").write_text("x = 1")
    (package / "unused.py").write_text("")
    imports = "from kit import scores"
    for name in ("__init__", "scores", "base", "deep/__init__", "deep/more"):
        assert changes(fingerprint, package / f"{name}.py", imports), name
    assert not changes(fingerprint, package / "unused.py", imports)


def test_places_do_not_count(fingerprint, folder, monkeypatch, new_process):
    (folder / "aid.py").write_text("")
    here = fingerprint()
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("aid.py", "mine.py"):
        (folder / name).rename(elsewhere / name)
    monkeypatch.syspath_prepend(elsewhere)
    new_process()
    assert Registry.discover([elsewhere / "mine.py"]).fingerprint("mine") == here


def test_installed_packages_and_modules_that_are_missing_do_not_count(fingerprint, folder):
    installed = folder / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "aid.py").write_text("")
    sys.path.insert(0, str(installed))
    try:
        assert not changes(fingerprint, installed / "aid.py")
    finally:
        sys.path.remove(str(installed))
    imports = "try:\n    import aid_that_is_missing.part\nexcept ImportError:\n    pass"
    fingerprint(imports)
    digest = hashlib.sha256((folder / "mine.py").read_bytes()).hexdigest()
    assert fingerprint(imports) == f"source {digest}"


def test_of_an_installed_plugin_its_whole_package_counts(folder, new_process):
    installed = folder / "site-packages"
    package = installed / "kit"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text(PLUGIN.format(imports="from .base import x"))
    (package / "base.py").write_text("x = 1")
    (package / "unused.py").write_text("")
    sys.path.insert(0, str(installed))

    def fingerprint(_):
        new_process()
        registry = Registry.discover()
        registry.strategies.sources["mine"] = "kit.mine:Mine"
        entry = EntryPoint("mine", "kit.mine:Mine", "fal_bench.strategies")
        registry.strategies._entries["mine"] = entry
        return registry.fingerprint("mine")

    try:
        assert changes(fingerprint, package / "base.py")
        assert changes(fingerprint, package / "mine.py")
        assert not changes(fingerprint, package / "unused.py")
    finally:
        sys.path.remove(str(installed))


def test_nothing_is_imported_to_find_out(folder, new_process):
    (folder / "mine.py").write_text(PLUGIN.format(imports="def never():\n    import aid"))
    (folder / "aid.py").write_text("raise RuntimeError('imported')")
    registry = Registry.discover([folder / "mine.py"])
    assert registry.fingerprint("mine")
    assert "aid" not in sys.modules


def test_the_old_code_does_not_pass_for_the_new(folder, new_process):
    """A notebook keeps what it has imported; its results would be those of the old code."""
    (folder / "mine.py").write_text(PLUGIN.format(imports="import aid"))
    (folder / "aid.py").write_text("x = 1")
    Registry.discover([folder / "mine.py"]).fingerprint("mine")
    (folder / "aid.py").write_text("x = 2")
    with pytest.raises(
        PluginError, match=r"aid\.py' was edited after this Python process had impo"
    ):
        Registry.discover([folder / "mine.py"]).fingerprint("mine")


def test_an_edited_module_runs_the_cells_again(folder, suite):
    (folder / "mine.py").write_text(PLUGIN.format(imports="from aid import *"))
    (folder / "aid.py").write_text("")
    command = [
        sys.executable, "-c", "from fal_bench.cli import main; main()", "compare", "-s", "mine",
        "-s", "random", "--plugin", "mine.py", "--suite", str(suite), "--task", "a", "--seeds", "1",
        "--jobs", "1",
    ]  # fmt: skip

    def cells():
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return len(list((folder / "results" / "cells").iterdir()))

    assert cells() == 2
    assert cells() == 2
    (folder / "aid.py").write_text("x = 1")
    assert cells() == 3


def test_modules_beside_a_plugin_file_are_found_as_those_of_a_script(tmp_path, suite):
    plugins = tmp_path / "plugins"
    (plugins / "kit").mkdir(parents=True)
    (plugins / "mine.py").write_text(PLUGIN.format(imports="import aid\nfrom kit import more"))
    (plugins / "aid.py").write_text("")
    (plugins / "kit" / "__init__.py").write_text("")
    (plugins / "kit" / "more.py").write_text("")
    done = subprocess.run(
        [
            sys.executable, "-c", "from fal_bench.cli import main; main()", "compare", "-s", "mine",
            "--plugin", "plugins/mine.py", "--suite", str(suite), "--task", "a", "--seeds", "1",
            "--format", "csv",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout


def test_two_folders_with_modules_of_one_name_are_told_apart(tmp_path, new_process):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "aid.py").write_text(f"x = {name!r}")
        text = PLUGIN.format(imports="import aid").replace('"mine"', repr(name))
        (tmp_path / name / f"{name}.py").write_text(text)
    registry = Registry.discover([tmp_path / "one", tmp_path / "two"])
    assert "one" in registry.names()
    [broken] = [one for one in registry.unavailable if one.name == "two"]
    there = tmp_path / "one" / "aid.py"
    assert f"it imports 'aid' from {there}, not from beside it; rename" in broken.reason


def test_a_plugin_called_like_an_installed_module_hides_nothing(tmp_path, new_process):
    (tmp_path / "mine.py").write_text(PLUGIN.format(imports="import random, torch"))
    for name in ("random", "torch"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError")
    assert "mine" in Registry.discover([tmp_path / "mine.py"]).names()
