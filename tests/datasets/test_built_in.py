"""Data sets are found by their file, and the page on data sets shows what they accept."""

import inspect
import pkgutil
import re
import tomllib
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
import torch

from fal_bench import datasets
from fal_bench.data.loading import dataset_digest, load_dataset
from fal_bench.errors import DataError
from fal_bench.plugins.registry import Registry, current_registry, use_registry
from fal_bench.task import ModelSpec, Task

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
FILES = [found.name for found in pkgutil.iter_modules(datasets.__path__)]
BUILT_IN = [name for name in FILES if not name.startswith("_")]


def test_every_file_is_a_data_set_of_its_name():
    assert {name.replace("_", "-") for name in BUILT_IN} <= set(current_registry().datasets.names())


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_defines_one_public_function(name):
    module = import_module(f"fal_bench.datasets.{name}")
    functions = inspect.getmembers(module, inspect.isfunction)
    own = [key for key, value in functions if value.__module__ == module.__name__]
    assert [key for key in own if not key.startswith("_")] == [f"load_{name}"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_page_shows_every_data_set_with_its_parameters(name):
    name = name.replace("_", "-")
    rows = re.findall(r"^\| (`.*?`(?:, `.*?`)*) \| .* \| (`.*?`) \|$", PAGE, re.MULTILINE)
    [shown] = [parameters for names, parameters in rows if f"`{name}`" in names]
    described = current_registry().datasets.describe(name)
    [described] = re.findall(r"Parameters: (.*?)\. Data:", described)
    assert re.findall(r"`(\w+)`", shown) == re.findall(r"(?:^|, )(\w+)", described)


def test_everything_the_page_shows_is_accepted():
    selectors = re.findall(r'^dataset = "(.*?)"', PAGE, re.MULTILINE)
    assert len(selectors) >= 5
    for selector in selectors:
        with suppress(DataError):  # data that are not here
            dataset_digest(Task(dataset=selector).dataset)
    [model] = re.findall(r"^model = .*$", PAGE, re.MULTILINE)
    assert Task.model_validate(tomllib.loads(model)).model == ModelSpec(kind="mlp", hidden=())


def test_the_pages_example_is_a_plugin(tmp_path):
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "rings.py").write_text(code)
    with use_registry(Registry.discover([tmp_path / "rings.py"])):
        rings = load_dataset("rings[noise=0]")
    assert (rings.n_train, rings.n_test) == (2000, 500)
    radius = rings.train_features.flatten(1).norm(dim=1)
    assert torch.allclose(radius, 1.0 + rings.train_labels)
