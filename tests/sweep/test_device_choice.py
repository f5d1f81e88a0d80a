"""The device of a comparison: part of every run's key, and refused where it is not there."""

from dataclasses import replace

import pytest
import torch

import fal_bench
from fal_bench.api import default_jobs
from fal_bench.errors import FalbenchError
from fal_bench.results.store import Store
from fal_bench.sweep.cluster import device_for
from fal_bench.sweep.plan import Plan
from fal_bench.sweep.supervisor import Supervisor

HAS_GPU = torch.cuda.is_available()
without_gpu = pytest.mark.skipif(HAS_GPU, reason="PyTorch finds a CUDA device")
needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="PyTorch finds no CUDA device")


@without_gpu
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_written(suite, tmp_path):
    with pytest.raises(FalbenchError, match="use device cpu"):
        fal_bench.compare(["random"], suite=suite, out=tmp_path / "out", device="cuda")
    assert not (tmp_path / "out").exists()


def test_an_unknown_device_is_refused(suite, tmp_path):
    with pytest.raises(FalbenchError, match="'tpu'"):
        fal_bench.compare(["random"], suite=suite, out=tmp_path / "out", device="tpu")


@without_gpu
def test_the_command_line_says_so_in_one_sentence(falbench, suite):
    code, out, err = falbench("compare", "--suite", suite, "-s", "random", "--device", "cuda")
    assert (code, out) == (2, "")
    assert "use device cpu" in " ".join(err.split())
    assert "Traceback" not in err


@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_a_cluster_computes_on_processors(backend):
    assert device_for(backend, "auto") == device_for(backend, "cpu") == "cpu"
    with pytest.raises(FalbenchError, match=f"cuda.*{backend}"):
        device_for(backend, "cuda")


@pytest.mark.parametrize("backend", ["processes", "sequential"])
@pytest.mark.parametrize("choice", ["auto", "cpu", "cuda"])
def test_elsewhere_the_choice_is_free(backend, choice):
    assert device_for(backend, choice) == choice


def test_runs_of_another_device_are_other_runs(suite, monkeypatch):
    here = Plan.make(["random"], suite=suite, device="cpu")
    monkeypatch.setattr("fal_bench.sweep.plan.resolve_device", lambda choice: choice)
    there = Plan.make(["random"], suite=suite, device="cuda")
    assert not {run.key for run in here.runs} & {run.key for run in there.runs}
    assert [replace(run, device="cpu") for run in there.runs] == list(here.runs)
    assert "--device" not in here.command
    assert "--device cuda" in there.command


def test_a_gpu_gets_one_worker():
    assert default_jobs("cuda") == 1
    assert default_jobs("cpu") >= 1


@without_gpu
def test_a_worker_without_the_gpu_fails_its_run_with_the_reason(suite, tmp_path):
    store = Store(tmp_path)
    store.prepare()
    spec = replace(Plan.make(["random"], suite=suite, device="cpu").runs[0], device="cuda")
    Supervisor(store, backend="sequential").run([spec])
    status = store.folder(spec).status()
    assert status["phase"] == "failed"
    assert "CUDA" in status["reason"]


@needs_gpu
def test_a_gpu_reaches_what_the_processor_reaches(suite, tmp_path):
    curves = [
        fal_bench.compare(
            ["random", "logo"], suite=suite, out=tmp_path, device=where, progress=False
        ).curves
        for where in ("cpu", "cuda")
    ]
    here, there = (curve.set_index(["task", "strategy", "seed", "cycle"]) for curve in curves)
    assert (here.labels == there.labels).all()
    assert (here.accuracy - there.accuracy).abs().mean() < 0.05
