"""Devices: what is asked for, and that an engine keeps everything on the network's own.

Without a GPU the engines run on PyTorch's device "meta", which has shapes but no values: an
operation that mixes it with the processor, or a tensor made on the wrong device, is seen there.
"""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from fal_bench.errors import InvalidSpecError
from fal_bench.learning import device
from fal_bench.learning.device import DeviceError, on_device, resolve_device
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Architecture
from fal_bench.learning.sequential import train_sequentially
from fal_bench.learning.stacked.engine import train_stacked
from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec
from fal_bench.trainers.evidential import Evidential
from fal_bench.trainers.kcfu import Kcfu

HAS_GPU = torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="PyTorch finds no CUDA device")
without_gpu = pytest.mark.skipif(HAS_GPU, reason="PyTorch finds a CUDA device")

SPECS = {
    "mlp": (ModelSpec(kind="mlp", hidden=(6,)), (1, 4, 4)),
    "cnn": (ModelSpec(kind="cnn", channels=(4, 6)), (1, 8, 8)),
    "cnn4": (ModelSpec(kind="cnn4", width=4), (1, 16, 16)),
}
RECIPES = {
    "plain": LocalTraining(2, 4, 0.1, 0.0, 1e-3, None),
    "drop": LocalTraining(2, 4, 0.1, 0.9, 1e-3, None, lr_drop_step=2),
    "evidential": LocalTraining(2, 4, 0.1, 0.9, 0.0, None, trainer=Evidential()),
    "kcfu": LocalTraining(2, 4, 0.1, 0.9, 0.0, None, trainer=Kcfu()),
    "distillation": LocalTraining(2, 4, 0.1, 0.9, 0.0, None, trainer=Distillation()),
}
TRANSFERS = {
    torch.ops.aten._to_copy.default,
    torch.ops.aten.copy_.default,
    torch.ops.aten.lift_fresh.default,
    torch.ops.aten.detach.default,
}
ENGINES = {"stacked": train_stacked, "sequential": train_sequentially}
TRAININGS = [("stacked", "mlp"), ("stacked", "cnn"), *(("sequential", model) for model in SPECS)]


class OneDevice(TorchDispatchMode):
    """Refuses every operation on another device, transfers aside."""

    def __init__(self, name):
        super().__init__()
        self.name = name
        self.seen = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func in TRANSFERS:
            return result
        tensors = [
            leaf for leaf in tree_flatten((args, kwargs, result))[0] if torch.is_tensor(leaf)
        ]
        inputs = [leaf for leaf in tree_flatten((args, kwargs))[0] if torch.is_tensor(leaf)]
        # Views that a transfer reads from stay where the samples and starting weights are.
        if inputs and all(tensor.device.type == "cpu" for tensor in inputs) and func.is_view:
            return result
        assert {tensor.device.type for tensor in tensors} <= {self.name}, func
        self.seen += 1
        return result


def architecture_on(name, device):
    spec, shape = SPECS[name]
    return Architecture(spec, shape, 4, device)


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter:UserWarning")
@pytest.mark.parametrize(("engine", "model"), TRAININGS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_training_stays_on_the_networks_device(engine, model, recipe, lanes):
    architecture = architecture_on(model, "meta")
    jobs = lanes(architecture_on(model, "cpu"), (9, 4, 13))
    _ = architecture.network  # built on the processor
    with OneDevice("meta") as watch:
        trained = ENGINES[engine](architecture.network, RECIPES[recipe], jobs, 4)
    assert watch.seen > 50
    for lane in trained:
        assert {tensor.device.type for tensor in lane.weights.values()} == {"meta"}


def test_a_stray_tensor_is_noticed():
    with pytest.raises(AssertionError), OneDevice("meta"):
        torch.zeros(2) + 1
    with pytest.raises((AssertionError, RuntimeError)), OneDevice("meta"):
        torch.ones(2, device="meta").add(torch.ones(2))


@pytest.mark.parametrize("where", ["cpu", "meta"])
def test_initial_weights_are_drawn_on_the_processor(where):
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    architecture_on("cnn4", "cpu").fresh(generators[0])
    model = architecture_on("cnn4", where).fresh(generators[1])
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    assert {tensor.device.type for tensor in model.weights.values()} == {where}


def test_what_is_asked_for():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if HAS_GPU else "cpu")
    with pytest.raises(InvalidSpecError, match=r"'tpu'.*auto, cpu"):
        resolve_device("tpu")


@without_gpu
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(DeviceError, match="use device cpu"):
        resolve_device("cuda")


def test_auto_asks_pytorch_where_a_driver_is(monkeypatch):
    asked = []
    monkeypatch.setattr(device, "_has_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append(1) or False)
    assert resolve_device("auto") == "cpu"
    assert asked


def test_arrays_on_the_processor_share_their_memory():
    array = np.arange(3)
    assert on_device(array, torch.device("cpu")).data_ptr() == array.ctypes.data
    assert on_device(array, torch.device("meta")).device.type == "meta"


@needs_gpu
@pytest.mark.parametrize(("engine", "model"), TRAININGS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_gpu_trains_as_the_processor_does(engine, model, recipe, lanes):
    trained = []
    for where in ("cpu", "cuda"):
        architecture = architecture_on(model, where)
        with device.full_precision():
            jobs = lanes(architecture_on(model, "cpu"), (9, 4, 13))
            done = ENGINES[engine](architecture.network, RECIPES[recipe], jobs, 4)
        trained.append(done)
    for here, there in zip(*trained, strict=True):
        for name, tensor in here.weights.items():
            torch.testing.assert_close(there.weights[name].cpu(), tensor, rtol=1e-3, atol=1e-4)


@needs_gpu
@pytest.mark.parametrize("model", SPECS)
def test_a_gpu_predicts_as_the_processor_does(model):
    features = torch.randn(70, *SPECS[model][1], generator=torch.Generator().manual_seed(1))
    here, there = (
        predict(architecture_on(model, where).fresh(torch.Generator().manual_seed(2)), features)
        for where in ("cpu", "cuda")
    )
    np.testing.assert_allclose(there.logits, here.logits, rtol=1e-3, atol=1e-4)
    assert {t.device.type for t in there_module(model).state_dict().values()} == {"cpu"}


def there_module(model):
    return architecture_on(model, "cuda").fresh(torch.Generator().manual_seed(2)).module()
