import hashlib
import subprocess
import sys
from contextlib import ExitStack
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
import torch

from fal_bench.data.base import Dataset
from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.errors import InvalidSpecError, PluginError, UnknownNameError
from fal_bench.plugins import registry
from fal_bench.plugins.built_in import DATASET
from fal_bench.plugins.functions import dataset
from fal_bench.plugins.registry import Registry, current_registry, use_registry


@pytest.fixture
def register(monkeypatch):
    """Register functions as if a package had."""
    with ExitStack() as active:

        def install(**targets):
            found = [
                EntryPoint(name.rstrip("_"), target, DATASET.package)
                for name, target in targets.items()
            ]
            monkeypatch.setattr(
                registry, "installed_entries", lambda group: EntryPoints(found).select(group=group)
            )
            active.enter_context(use_registry(Registry.discover()))

        yield install


def plugin(sizes: tuple[int, ...], scale: float = 1.0, *, classes: int = 2, **_other) -> Dataset:
    features = torch.zeros(sizes) * scale
    labels = torch.zeros(sizes[0], dtype=torch.int64)
    return Dataset("toy", features, labels, features, labels, classes)


content = "as it was"

CODE = f"source {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"


def with_code(content):
    return hashlib.sha256(f"{CODE} {content}".encode()).hexdigest()


@dataset(digest=lambda scale=1.0: f"{content} at {scale}", whereabouts=lambda: "in this file")
def own_data(scale: float = 1.0) -> Dataset:
    """Load a plugin's own data.

    And more.
    """
    return plugin((4, 1, 2, 2), scale)


@dataset
def not_a_data_set() -> int:
    return 3


@dataset
def unresolved(size: "Missing" = 1) -> Dataset:  # type: ignore[name-defined]  # noqa: F821
    raise AssertionError


def test_built_in_names():
    names = current_registry().datasets.names()
    assert {"digits", "digit-pairs"} <= set(names)
    assert names == sorted(names)


def test_parameters_in_brackets_reach_the_loader_and_equal_selectors_are_loaded_once():
    texts = ("pairs[test=100,train=200]", "pairs[ train = 200, test=100 ]", "pairs[test=101]")
    first, same, other = (load_dataset(f" digit-{text}") for text in texts)
    assert (first.n_train, first.n_test, other.n_test) == (200, 100, 101)
    assert same is first


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match=r"'digit'.*'digits'"):
        load_dataset("digit")


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("digit-pairs[size=3]", "has no parameter 'size'; it takes: train, test"),
        ("digit-pairs[train=many]", "'train' cannot be 'many': .* whole number; .*: train, test"),
        ('digit-pairs[train="200"]', "'200': .* whole number"),
        ("digit-pairs[train=200.0]", "200.0: .* whole number"),
        ("digit-pairs[train=true]", "True: .* whole number"),
        ("digits[test_fraction=null]", "None: .* number"),
        ("digits[test_fraction=NaN]", "test_fraction.*finite number"),
        ("digits[", "write a name"),
    ],
)
def test_bad_parameters_are_refused(selector, message):
    with pytest.raises(InvalidSpecError, match=message):
        load_dataset(selector)


def test_values_are_those_of_the_functions_parameters(register):
    register(toy=f"{__name__}:plugin")
    # A whole number may stand for a float, and a list for a tuple.
    assert load_dataset("toy[sizes=[4,1,2,3],scale=2]").input_shape == (1, 2, 3)
    with pytest.raises(InvalidSpecError, match="'sizes'"):  # it has no default
        load_dataset("toy")
    with pytest.raises(InvalidSpecError, match="sizes, scale, classes"):
        load_dataset("toy[_other=1]")


def test_data_of_ones_own_are_identified_by_a_digest_and_loaded_again_when_it_changes(
    register, monkeypatch
):
    register(own=f"{__name__}:own_data")
    assert dataset_digest("own[scale=2]") == with_code(f"{content} at 2.0")
    first = load_dataset("own")
    assert load_dataset("own") is first
    monkeypatch.setattr(sys.modules[__name__], "content", "changed")
    assert load_dataset("own") is not first
    with pytest.raises(InvalidSpecError, match="no parameter 'size'"):
        dataset_digest("own[size=2]")


def test_others_are_identified_by_their_code_and_built_in_ones_by_their_name(register):
    register(toy=f"{__name__}:plugin")
    assert dataset_digest("toy[sizes=[4,1,2,3]]") == with_code(None)
    assert dataset_digest("digits") == ""


def test_descriptions_say_what_there_is_to_know(register):
    register(own=f"{__name__}:own_data", toy=f"{__name__}:plugin", bad="no_such_package:load")
    describe = current_registry().datasets.describe
    assert describe("own").split(". ")[1:3] == ["Parameters: scale=1.0", "Data: in this file"]
    assert describe("own").startswith(own_data.__doc__.partition("\n")[0])
    assert "sizes (needed), scale=1.0" in describe("toy")
    assert describe("bad").startswith("unavailable")


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"toy": f"{__name__}:not_a_data_set"}, "returned int"),
        ({"toy": f"{__name__}:absent"}, "cannot be loaded: AttributeError"),
        ({"toy": "no_such_package_at_all:load"}, "cannot be loaded: ModuleNotFoundError"),
        ({"toy": f"{__name__}:unresolved"}, "annotation that cannot be resolved"),
    ],
)
def test_broken_plugins_are_named(register, targets, message):
    register(**targets)
    with pytest.raises(PluginError, match=message):
        load_dataset("toy")


def test_two_of_one_name_are_refused(register):
    register(toy=f"{__name__}:plugin", toy_="b:plugin")
    with pytest.raises(InvalidSpecError, match="'toy'"):
        load_dataset("toy")


def test_listing_and_partitioning_do_not_import_torch():
    code = (
        "import sys, fal_bench.data.partition, fal_bench.data.subset, fal_bench.data.shares; "
        "from fal_bench.plugins.registry import current_registry; "
        "current_registry().datasets.names(); "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
