"""Settings of the process: what changes is put back and named."""

import contextlib
import os
import resource
import signal
import sys

import numpy as np
import pytest
import torch

from fal_bench.errors import PluginError
from fal_bench.isolation.calls import Call, Calls
from fal_bench.isolation.surroundings import Surroundings, undisturbed


def lower(which, value):
    _, hard = resource.getrlimit(which)
    resource.setrlimit(which, (value, hard))


DEEDS = {
    "torch.set_default_dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch.set_default_device": lambda: torch.set_default_device("meta"),
    "torch.set_float32_matmul_precision": lambda: torch.set_float32_matmul_precision("medium"),
    "torch.set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "torch.autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16).__enter__(),
    "torch.use_deterministic": lambda: torch.use_deterministic_algorithms(True),
    "torch.set_num_threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "set_detect_anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "_global_forward_hooks": lambda: torch.nn.modules.module.register_module_forward_hook(print),
    "sys.setrecursionlimit": lambda: sys.setrecursionlimit(2345),
    "gc.disable": lambda: __import__("gc").disable(),
    "signal.setitimer": lambda: signal.setitimer(signal.ITIMER_REAL, 3600),
    "RLIMIT_NOFILE": lambda: lower(resource.RLIMIT_NOFILE, 200),
    "RLIMIT_CPU": lambda: lower(resource.RLIMIT_CPU, 10**6),
}
HARMLESS = {
    "numpy.seterr": lambda: np.seterr(divide="raise"),
    "os.chdir": lambda: os.chdir("/"),
    "os.environ": lambda: os.environ.update(MINE="1"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", DEEDS)
def test_a_setting_that_matters_is_put_back_and_named(name):
    before = Surroundings()
    with (
        pytest.raises(PluginError, match=f"Strategy 'mine' changed .*{name}"),
        Calls().open(Call("Strategy 'mine'")),
    ):
        DEEDS[name]()
    assert not before.changed()


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_one_is_put_back_in_silence(name):
    before = Surroundings()
    with undisturbed("it"):
        HARMLESS[name]()
        assert [one.name for one in before.changed()] == [name]
    assert not before.changed()


def test_an_error_is_not_replaced():
    before = Surroundings()
    with contextlib.suppress(ZeroDivisionError), undisturbed("it"):
        torch.set_default_dtype(torch.float64)
        raise ZeroDivisionError
    assert not before.changed()


def test_our_own_code_is_not_looked_at():
    with Calls().open(Call("Strategy 'random'", ours=True)):
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)
    sys.setrecursionlimit(sys.getrecursionlimit() - 1)


def test_nothing_has_changed_by_looking():
    assert not Surroundings().changed()
