"""Every built-in plugin keeps the contract."""

from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest

from fal_bench.conformance.runner import check
from fal_bench.plugins.registry import Registry

REGISTRY = Registry.discover()
NEEDING_DATA = {"cifar10", "cifar100", "fashion-mnist", "frozen", "imagefolder", "medmnist", "npz"}
NEEDING_DATA |= {"keel", "svhn", "table", "text", "vader", "watch"}
BUILT_IN = {
    f"{table.kind.word} {name}": (table, name)
    for table in REGISTRY.tables()
    for name in table.names()
    if not (table is REGISTRY.datasets and name in NEEDING_DATA)
}


# What these train is as long as their parameters say, and is the same code at any length.
SHORT = {"ifal": {"epochs": 2}, "fedral": {"epochs": 1, "episodes": 1, "warm_episodes": 2}}


@pytest.mark.parametrize(("table", "name"), BUILT_IN.values(), ids=BUILT_IN)
def test_it_passes_every_check(table, name):
    if name == "skactiveml" and find_spec("skactiveml") is None:
        pytest.skip("scikit-activeml is not installed; run tox -e skactiveml")
    plugin = table.load(name)
    report = check(plugin(SHORT[name]) if name in SHORT else plugin)
    assert report.plugin.startswith(name)
    assert {one.status for one in report.outcomes} <= {"ok", "not applicable"}


def test_a_table_passes_too(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{number},{colour},{site},{label}" for number, colour, site, label in zip(
        rng.normal(size=200), rng.choice(["red", "blue"], 200), rng.integers(3, size=200),
        rng.choice(["no", "yes"], 200), strict=True,
    )]  # fmt: skip
    (tmp_path / "mine.csv").write_text("\n".join(["size,colour,site,label", *lines]))
    report = check(f"table[path={tmp_path}/mine.csv,label=label,client=site]")
    outcomes = {one.check: one for one in report.outcomes}
    assert {one.status for one in report.outcomes} <= {"ok", "not applicable"}
    assert outcomes["loads"].note.startswith("160 + 40 samples of 3x1x1, 2 classes")
    assert "path" in outcomes["digest"].note


def test_a_data_set_of_a_file_passes_too(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        f"{part}_{what}": rng.integers(high, size=(count, *shape)).astype(np.uint8)
        for part, count in (("train", 200), ("test", 40))
        for what, high, shape in (("images", 256, (4, 4)), ("labels", 3, ()))
    }
    np.savez(tmp_path / "mine.npz", **arrays)
    load = REGISTRY.datasets.load("npz")
    for plugin in (f"npz[path={tmp_path}/mine.npz]", partial(load, path=tmp_path / "mine.npz")):
        outcomes = {one.check: one for one in check(plugin).outcomes}
        assert outcomes["loads"].note.startswith("200 + 40 samples of 1x4x4, 3 classes")
        assert "path" in outcomes["digest"].note
