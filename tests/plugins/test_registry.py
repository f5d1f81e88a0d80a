import shutil
from functools import partial
from importlib.metadata import EntryPoints
from pathlib import Path

import pytest

import fal_bench.strategies
from fal_bench.errors import InvalidSpecError, PluginError, UnknownNameError
from fal_bench.inputs.selector import Selector
from fal_bench.plugins import registry
from fal_bench.plugins.registry import Registry
from fal_bench.plugins.strategy import Strategy
from fal_bench.plugins.trial import faults_at_import
from fal_bench.sweep.spec import plan_runs
from fal_bench.task import Task

PLUGIN = """
import numpy as np
from fal_bench import Strategy

class Mine(Strategy):
    name = "{name}"

    def select(self, client, budget):
        return np.arange(budget)
"""


def plugin(path, name="mine", extra=""):
    path.write_text(PLUGIN.format(name=name) + extra)
    return path


def test_every_built_in_loads_under_its_own_name_with_a_version_and_a_docstring():
    registry = Registry.discover()
    folder = Path(fal_bench.strategies.__file__).parent
    places = {path.stem for path in folder.glob("[!_]*") if path.suffix != ".pyc"}
    assert {source.rpartition(".")[2] for source in registry.sources.values()} == places
    assert {"random", "fal-margin", "sal-margin", "fal-entropy", "logo"} <= set(registry.names())
    for name in registry.names():
        strategy = registry.load(name)
        assert issubclass(strategy, Strategy)
        assert strategy.name == name
        assert isinstance(strategy.version, int)
        assert "Cost:" in strategy.__doc__
        assert registry.fingerprint(name) == f"version {strategy.version}"
        assert name in str(registry.make(Selector(name)).name)


def test_unknown_names_come_with_the_nearest_one():
    with pytest.raises(UnknownNameError, match="'random'"):
        Registry.discover().load("randon")
    with pytest.raises(UnknownNameError, match=r"fal-margin"):
        Registry.discover().load("xxxxxx")


def test_plugins_from_a_file_and_a_folder(tmp_path):
    plugin(tmp_path / "one.py", "one")
    plugin(tmp_path / "two.py", "two")
    for name in ("_private.py", "test_one.py", "conftest.py"):
        (tmp_path / name).write_text("raise RuntimeError")
    registry = Registry.discover([tmp_path])
    assert {"one", "two"} <= set(registry.names())
    assert not registry.unavailable
    registry = Registry.discover([tmp_path / "one.py"])
    assert "two" not in registry.names()
    assert registry.make(Selector("one")).select(None, 3).tolist() == [0, 1, 2]


def test_an_edited_plugin_has_another_fingerprint_and_an_unedited_one_has_not(tmp_path):
    file = plugin(tmp_path / "mine.py")
    before = Registry.discover([file]).fingerprint("mine")
    assert before == Registry.discover([file]).fingerprint("mine")
    assert before.startswith("source ")
    plugin(file, extra="# another comment\n")
    assert Registry.discover([file]).fingerprint("mine") != before


def test_two_plugins_of_one_name_are_refused_with_both_places(tmp_path):
    plugin(tmp_path / "a.py", "same")
    plugin(tmp_path / "b.py", "same")
    with pytest.raises(InvalidSpecError, match=r"'same'.*a\.py.*b\.py"):
        Registry.discover([tmp_path])
    plugin(tmp_path / "c.py", "random")
    with pytest.raises(InvalidSpecError, match=r"'random'.*strategies.*c\.py"):
        Registry.discover([tmp_path / "c.py"])


def test_a_broken_plugin_is_listed_with_its_reason_and_stops_nothing_else(tmp_path):
    (tmp_path / "broken.py").write_text("\nimport not_installed_anywhere")
    (tmp_path / "empty.py").write_text("x = 1")
    plugin(tmp_path / "fine.py", "fine")
    registry = Registry.discover([tmp_path])
    assert "fine" in registry.names()
    reasons = {broken.name: broken.reason for broken in registry.unavailable}
    assert "'not_installed_anywhere'" in reasons["broken"]
    assert "broken.py, line 2" in reasons["broken"]
    assert "defines no plugin" in reasons["empty"]
    with pytest.raises(PluginError, match=r"'not-there' .*broken"):
        registry.load("not-there")  # a file's name need not be its strategy's


def test_a_plugin_that_leaves_at_import_or_cannot_be_made_is_named(tmp_path):
    (tmp_path / "leaving.py").write_text("import sys; sys.exit(0)")
    plugin(tmp_path / "odd.py", "odd", extra="\n    def __init__(self): ...\n")
    registry = Registry.discover([tmp_path])
    assert [broken.name for broken in registry.unavailable] == ["leaving"]
    with pytest.raises(PluginError, match=r"'odd'.*TypeError"):
        registry.make(Selector("odd"))


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(InvalidSpecError, match=r"none\.py"):
        Registry.discover([tmp_path / "none.py"])


def test_parameters_are_checked():
    with pytest.raises(InvalidSpecError, match="'n_init' cannot be 0"):
        Registry.discover().make(Selector("logo", {"n_init": 0}))
    with pytest.raises(InvalidSpecError, match="it takes: none"):
        Registry.discover().make(Selector("random", {"x": 1}))


def test_a_plugin_whose_import_ends_or_hangs_its_process_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "fal_bench.plugins.trial.faults_at_import", partial(faults_at_import, limit=2)
    )
    plugin(tmp_path / "a_first.py", "first")
    (tmp_path / "b_leaving.py").write_text("import os; os._exit(0)")
    (tmp_path / "c_crashing.py").write_text("import os; os.kill(os.getpid(), 11)")
    (tmp_path / "d_hanging.py").write_text("import time; time.sleep(3600)")
    (tmp_path / "e_raising.py").write_text("raise RuntimeError('ordinary')")
    plugin(tmp_path / "f_last.py", "last")
    registry = Registry.discover([tmp_path], try_first=True)
    assert {"first", "last"} <= set(registry.names())
    culprits = {
        "b_leaving": "exit code 0",
        "c_crashing": "SIGSEGV",
        "d_hanging": "2 s",
        "e_raising": "RuntimeError: ordinary",
    }
    assert [broken.name for broken in registry.unavailable] == list(culprits)
    for broken in registry.unavailable:
        assert culprits[broken.name] in broken.reason
    assert [file.stem for file in registry.files] == ["a_first", "f_last"]


def test_what_a_plugin_says_is_one_line_without_escape_sequences(tmp_path):
    (tmp_path / "loud.py").write_text(
        r"raise RuntimeError('\x1b[31mno\n\n  idea\x1b[0m\x07 at all')"
    )
    [broken] = Registry.discover([tmp_path]).unavailable
    assert broken.reason.isprintable()
    assert "no idea at" in broken.reason


def test_only_names_that_can_be_typed_are_suggested(tmp_path):
    registry = Registry.discover([plugin(tmp_path / "badname.py", "Bad Name")])
    with pytest.raises(UnknownNameError) as caught:
        registry.load("badname")
    assert "Bad Name" not in str(caught.value)


def test_a_strategy_whose_trainer_there_is_not_is_named(tmp_path):
    file = plugin(tmp_path / "mine.py", extra="\n    trainer = 'nosuch'\n")
    with pytest.raises(PluginError, match=r"'mine' .*'nosuch'"):
        plan_runs([Task()], [Selector("mine")], [0], Registry.discover([file]))


def test_what_is_installed_while_a_process_runs_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    assert "late" not in Registry.discover().names()
    plugin(tmp_path / "late.py", "late")
    metadata = tmp_path / "late-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[fal_bench.strategies]\nlate = late:Mine\n")
    assert Registry.discover().load("late").name == "late"
    shutil.rmtree(metadata)
    assert "late" not in Registry.discover().names()


def test_entry_points_are_read_once_while_nothing_changes(monkeypatch):
    reads = []
    monkeypatch.setattr(
        registry, "entry_points", lambda group: reads.append(group) or EntryPoints()
    )
    registry._entries_of.cache_clear()
    for _ in range(3):
        Registry.discover().tables()
    registry._entries_of.cache_clear()
    assert sorted(reads) == sorted({table.kind.package for table in Registry.discover().tables()})
