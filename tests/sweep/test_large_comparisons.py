"""Comparisons that are too large are refused before they cost memory or time."""

import pytest
import torch

from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.limits import MOST_JOBS, MOST_RUNS
from fal_bench.learning.model import Architecture
from fal_bench.sweep import plan as planning
from fal_bench.sweep.plan import Plan
from fal_bench.task import ModelSpec

SUITE = """
[defaults]
clients = 2
budget_cap = 60
model = { kind = "mlp", hidden = [8] }
[tasks.a]
[tasks.b]
rounds = 2
"""


@pytest.fixture
def suite(tmp_path):
    """A suite of two tasks; more lines go in front."""

    def write(lines=""):
        (tmp_path / "s.toml").write_text(lines + SUITE)
        return str(tmp_path / "s.toml")

    return write


@pytest.mark.parametrize("seeds", [10**9, 10**5000, MOST_RUNS + 1], ids=["9", "5000", "one"])
def test_seeds_are_bounded(suite, seeds):
    with pytest.raises(InvalidSpecError, match=f"seeds .*{MOST_RUNS}"):
        Plan.make("random", suite=suite(), seeds=seeds)


def test_runs_are_counted_before_they_are_made(suite):
    half = MOST_RUNS // 2
    with pytest.raises(InvalidSpecError, match=f"{half + 1} seeds .* {2 * half + 2} runs"):
        Plan.make("random", suite=suite(), seeds=half + 1)
    with pytest.raises(InvalidSpecError, match="2000000000 runs"):
        Plan.make("random", suite=suite("seeds = 1000000000"))
    grid = "logo[n_init=" + ",".join(map(str, range(1, 101))) + "]"
    with pytest.raises(InvalidSpecError, match="100 strategies"):
        Plan.make(grid, suite=suite(), seeds=half // 10)
    assert len(Plan.make("random,fal-margin", suite=suite(), seeds=3).runs) == 12


@pytest.mark.parametrize("jobs", [MOST_JOBS + 1, 10**9])
def test_workers_are_bounded(suite, falbench, jobs):
    code, _, err = falbench("compare", "--suite", suite(), "-s", "random", "--jobs", jobs)
    assert (code, "jobs" in err) == (2, True)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("mlp", {"hidden": [8, 5]}),
        ("cnn", {"channels": [4, 6]}),
        ("cnn4", {"width": 3}),
        ("resnet18", {}),
    ],
)
def test_models_are_measured_as_they_are_built(kind, params):
    architecture = Architecture(ModelSpec(kind=kind, **params), (3, 32, 32), 10)
    assert architecture.nbytes == architecture.fresh(torch.Generator()).nbytes


def test_measuring_a_model_takes_no_memory():
    spec = ModelSpec(kind="mlp", hidden=[10**5] * 3)
    assert Architecture(spec, (1, 8, 8), 10).nbytes > 8e10


def test_models_that_do_not_fit_are_refused_before_they_are_built(suite, monkeypatch):
    built = []
    monkeypatch.setattr(Architecture, "fresh", lambda *_: built.append(True))
    plan = Plan.make("random", suite=suite(), task="a", seeds=1)
    model = 4 * (64 * 8 + 8 + 8 * 10 + 10)
    monkeypatch.setattr(planning, "free_bytes", lambda: 3 * model - 1)  # two clients, one server
    with pytest.raises(InvalidSpecError, match=r"'a'.*mlp"):
        plan.check(plan.runs)
    assert not built
    monkeypatch.setattr(planning, "free_bytes", lambda: 3 * model)
    plan.check(plan.runs)
    assert built
