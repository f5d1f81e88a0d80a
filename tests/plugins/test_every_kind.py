"""One file a plugin of each kind is enough: it is found, runs in workers, and is in the key."""

import json

import pandas as pd
import pytest

from fal_bench import metric
from fal_bench.errors import PluginError
from fal_bench.federation.journal import Row
from fal_bench.plugins.metric import OTHER_COLUMNS, Metric
from fal_bench.plugins.registry import Registry
from fal_bench.results.model import NOT_METRICS

FILES = {
    "idea": """
import numpy as np
from fal_bench import Strategy

class Idea(Strategy):
    name = "idea"

    def select(self, client, budget):
        return np.arange(budget)
""",
    "loss": """
from fal_bench import Trainer

class Loss(Trainer):
    name = "loss"

    def losses(self, logits, batch):
        return -logits.log_softmax(-1).gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1) / 2
""",
    "part": """
from fal_bench import Aggregation, Params

class PartParams(Params):
    share: float = 0.9

class Part(Aggregation):
    name = "part"
    Params = PartParams

    def combine(self, updates, server):
        change = server.change(updates)
        return {name: server.weights[name] + self.params.share * change[name] for name in change}
""",
    "photos": """
import torch
from fal_bench import Dataset, dataset

@dataset
def photos(n: int = 200) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (n,), generator=generator)
    images = torch.randn(n, 1, 3, 3, generator=generator) + labels.view(-1, 1, 1, 1)
    return Dataset("photos", images, labels, images[:50], labels[:50], 3)
""",
    "net": """
from collections import OrderedDict
from math import prod
from torch import nn
from fal_bench import model

@model
def net(input_shape, n_classes, *, width: int = 4):
    body = nn.Sequential(nn.Flatten(), nn.Linear(prod(input_shape), width), nn.Dropout(0.2))
    return nn.Sequential(OrderedDict(body=body, head=nn.Linear(width, n_classes)))
""",
    "third": """
from fal_bench import metric

@metric
def third(labels, probs):
    return float((probs.argmax(axis=1) == labels).mean()) / 3
""",
}
SUITE = """
seeds = 1
[tasks.own]
dataset = "photos[n=180]"
model = { kind = "net", width = 5 }
aggregation = { kind = "part", share = 0.5 }
clients = 2
rounds = 2
local_epochs = 1
initial_labels = 5
query_size = 5
budget_cap = 20
"""


@pytest.fixture
def plugins(tmp_path):
    folder = tmp_path / "plugins"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    (tmp_path / "own.toml").write_text(SUITE)
    return folder


def keys(tmp_path):
    runs = (tmp_path / "results" / "runs").iterdir()
    return {run.name: json.loads((run / "run.json").read_text())["description"] for run in runs}


def test_all_are_listed_compared_in_workers_and_part_of_the_key(falbench, plugins, tmp_path):
    for kind, name in zip(
        ("strategies", "trainers", "aggregations", "datasets", "models", "metrics"),
        FILES,
        strict=True,
    ):
        code, out, _ = falbench("list", kind, "--plugin", plugins)
        assert code == 0
        assert name in out.split()

    def compare(*more):
        code, _, err = falbench(
            "compare", "--plugin", plugins, "--suite", "own.toml", "-s", "idea[trainer=loss]", *more
        )
        assert code == 0, err
        assert "Note" not in err
        return keys(tmp_path)

    [(key, description)] = compare("--jobs", 2).items()
    curves = pd.read_csv(tmp_path / "results" / "curves.csv")
    assert curves.third.tolist() == pytest.approx((curves.accuracy / 3).tolist())
    found = (
        description["strategy"]["fingerprint"], description["trainer"]["fingerprint"],
        description["model"], description["aggregation"],
    )  # fmt: skip
    assert all(one.startswith("source ") for one in found)
    assert len({*found, description["data"]}) == 5
    assert falbench("report", "results")[0] == 0  # without the plugins
    known = {key}
    for name in ("photos", "net", "part"):
        with (plugins / f"{name}.py").open("a") as file:
            file.write("# edited\n")
        now = set(compare("--backend", "sequential"))
        assert len(now) == len(known) + 1
        known = now
    with (plugins / "third.py").open("a") as file:
        file.write("# edited\n")
    assert set(compare("--backend", "sequential")) == known


WRONG = [
    ("width = 5", "widht = 5", "'widht'; did you mean 'width'"),
    ("width = 5", "width = 'x'", "'width' cannot be 'x'"),
    ('"net"', '"nett"', "Unknown model 'nett'; did you mean 'net'"),
    ("n=180", "n=many", "'n' cannot be 'many'"),
    ("share = 0.5", "shar = 0.5", "'shar'; did you mean 'share'"),
    ("share = 0.5", "share = 'x'", "'share' cannot be 'x'"),
    ('"part"', '"prat"', "Unknown aggregation 'prat'; did you mean 'part'"),
    ("photos", "photo", "Unknown data set 'photo'; did you mean 'photos'"),
]


def test_what_a_suite_gets_wrong_is_one_sentence(falbench, plugins, tmp_path):
    """All in one test: plugins are tried in a process of their own only once."""
    for old, new, message in WRONG:
        (tmp_path / "own.toml").write_text(SUITE.replace(old, new))
        command = ("compare", "--plugin", plugins, "--suite", "own.toml", "-s", "random")
        code, _, err = falbench(*command)
        assert code == 2
        [error] = [line for line in err.splitlines() if not line.startswith("Importing ")]
        assert message in error
        assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", sorted({"labels", "cycle", "seed", "task", *Row.columns()}))
def test_a_metric_cannot_be_called_like_another_column_of_the_curves(tmp_path, name):
    def function(labels):
        return 0.0

    function.__name__ = name
    with pytest.raises(PluginError, match=f"'{name}'"):
        metric(function)
    with pytest.raises(PluginError, match=f"'{name}'"):
        Metric(name, lambda labels: 0.0, True, "test", ("labels",))
    file = tmp_path / "mine.py"
    file.write_text(FILES["third"].replace("def third", f"def {name}"))
    [refused] = Registry.discover([file]).unavailable
    assert f"'{name}'" in refused.reason
    assert refused.reason.count(". ") == 0


def test_those_columns_are_all_that_curves_have_beside_metrics():
    assert OTHER_COLUMNS == NOT_METRICS
    assert {*Row.columns()} < OTHER_COLUMNS
