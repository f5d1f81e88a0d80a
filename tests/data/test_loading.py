import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import torch

from fal_bench.data import loading
from fal_bench.data.base import Dataset
from fal_bench.data.loading import (
    dataset_digest,
    dataset_names,
    describe_dataset,
    load_dataset,
)
from fal_bench.data.provenance import comes_from
from fal_bench.errors import InvalidSpecError, PluginError, UnknownNameError


@pytest.fixture
def register(monkeypatch):
    """Register functions as if a package had; the cache does not outlive the test."""

    def install(**targets):
        entries = [
            EntryPoint(name.rstrip("_"), target, loading.GROUP) for name, target in targets.items()
        ]

        def found(group, name=None):
            return [entry for entry in entries if name in (None, entry.name)]

        monkeypatch.setattr(loading, "entry_points", found)
        loading._load.cache_clear()

    yield install
    loading._load.cache_clear()


def plugin(sizes: tuple[int, ...], scale: float = 1.0, *, classes: int = 2, **_other) -> Dataset:
    features = torch.zeros(sizes) * scale
    labels = torch.zeros(sizes[0], dtype=torch.int64)
    return Dataset("toy", features, labels, features, labels, classes)


content = "as it was"


@comes_from(digest=lambda scale=1.0: f"{content} at {scale}", whereabouts=lambda: "in this file")
def own_data(scale: float = 1.0) -> Dataset:
    """Load a plugin's own data.

    And more.
    """
    return plugin((4, 1, 2, 2), scale)


def not_a_data_set() -> int:
    return 3


def unresolved(size: "Missing" = 1) -> Dataset:  # type: ignore[name-defined]  # noqa: F821
    raise AssertionError


def test_built_in_names():
    assert {"digits", "digit-pairs"} <= set(dataset_names())
    assert dataset_names() == sorted(dataset_names())


def test_parameters_in_brackets_reach_the_loader():
    assert load_dataset("digit-pairs[train=200,test=100]").n_train == 200


def test_equal_selectors_are_loaded_once():
    first = load_dataset("digit-pairs[test=100,train=200]")
    assert load_dataset(" digit-pairs[ train = 200, test=100 ]") is first
    assert load_dataset("digit-pairs[test=101,train=200]") is not first


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="Unknown data set 'digit'; did you mean 'digits'"):
        load_dataset("digit")


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("digit-pairs[size=3]", "has no parameter 'size'; accepted: train, test"),
        (
            "digit-pairs[train=many]",
            "'train' .* a whole number, not 'many' .*: train, test",
        ),
        ('digit-pairs[train="200"]', "must be a whole number, not '200'"),
        ("digit-pairs[train=200.0]", "must be a whole number, not 200.0"),
        ("digit-pairs[train=true]", "must be a whole number, not True"),
        ("digits[test_fraction=null]", "must be a number, not None"),
        ("digits[test_fraction=NaN]", "from 0.01 to 0.99, not nan"),
        ("digits[", "write a name"),
    ],
)
def test_bad_parameters_are_refused(selector, message):
    with pytest.raises(InvalidSpecError, match=message):
        load_dataset(selector)


def test_a_whole_number_may_stand_for_a_float_and_a_list_for_a_tuple(register):
    register(toy=f"{__name__}:plugin")
    assert load_dataset("toy[sizes=[4,1,2,3],scale=2,classes=5]").input_shape == (1, 2, 3)


def test_a_parameter_without_default_must_be_given(register):
    register(toy=f"{__name__}:plugin")
    with pytest.raises(InvalidSpecError, match=r"needs a value for 'sizes'; write toy\[sizes="):
        load_dataset("toy")


def test_data_of_ones_own_are_identified_by_a_digest_and_loaded_anew_when_it_changes(
    register, monkeypatch
):
    register(own=f"{__name__}:own_data")
    assert dataset_digest("own[scale=2]") == "as it was at 2.0"
    first = load_dataset("own")
    assert load_dataset("own") is first
    monkeypatch.setattr(sys.modules[__name__], "content", "changed")
    assert load_dataset("own") is not first
    with pytest.raises(InvalidSpecError, match="no parameter 'size'"):
        dataset_digest("own[size=2]")


def test_other_data_sets_are_identified_by_their_selector(register):
    register(toy=f"{__name__}:plugin")
    assert dataset_digest("toy[sizes=[4,1,2,3]]") == ""
    assert dataset_digest("toy[sizes=[5,1,2,3]]") == ""


def test_descriptions_tell_what_there_is_to_know(register):
    register(own=f"{__name__}:own_data", toy=f"{__name__}:plugin", bad="no_such_package:load")
    assert describe_dataset("own") == (
        "Load a plugin's own data. Parameters: scale=1.0. Data: in this file."
    )
    assert describe_dataset("toy") == (
        "No description. Parameters: sizes (needed), scale=1.0, classes=2."
    )
    assert describe_dataset("bad").startswith("unavailable: Data set 'bad'")


def test_extra_keywords_are_no_parameters(register):
    register(toy=f"{__name__}:plugin")
    with pytest.raises(InvalidSpecError, match="accepted: sizes, scale, classes"):
        load_dataset("toy[_other=1]")


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"toy": f"{__name__}:not_a_data_set"}, "returned int"),
        ({"toy": f"{__name__}:absent"}, r"cannot be imported \(AttributeError"),
        ({"toy": "no_such_package_at_all:load"}, r"cannot be imported \(ModuleNotFoundError"),
        ({"toy": f"{__name__}:unresolved"}, "annotation that cannot be resolved"),
        ({"toy": f"{__name__}:plugin", "toy_": "b:plugin"}, "registered by several packages"),
    ],
)
def test_broken_plugins_are_named(register, targets, message):
    register(**targets)
    with pytest.raises(PluginError, match=f"'toy'.*{message}"):
        load_dataset("toy")


def test_listing_and_partitioning_do_not_import_torch():
    code = (
        "import sys, fal_bench.data.loading as loading, fal_bench.data.partition, "
        "fal_bench.data.subset, fal_bench.data.shares; loading.dataset_names(); "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
