"""Data sets are found by their file."""

import inspect
import pkgutil
from importlib import import_module

import pytest

from fal_bench import datasets
from fal_bench.data.loading import dataset_names

FILES = [found.name for found in pkgutil.iter_modules(datasets.__path__)]
BUILT_IN = [name for name in FILES if not name.startswith("_")]


def test_every_file_is_a_data_set_of_its_name():
    assert {name.replace("_", "-") for name in BUILT_IN} <= set(dataset_names())


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_defines_one_public_function(name):
    module = import_module(f"fal_bench.datasets.{name}")
    own = [
        key
        for key, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not key.startswith("_")
    ]
    assert own == [f"load_{name}"]
