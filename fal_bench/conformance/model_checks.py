"""What every model must satisfy: one function a check, in the order of the report."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fal_bench.arrays import FloatArray
from fal_bench.conformance.side_effects import digest
from fal_bench.conformance.subject import Broken, Failure, FunctionSubject, once, owned_by, params
from fal_bench.conformance.worlds import CLASSES, blobs
from fal_bench.errors import InvalidSpecError
from fal_bench.learning.engine import train
from fal_bench.learning.inference import predict
from fal_bench.learning.model import Architecture, Model, Weights
from fal_bench.learning.network import seeded
from fal_bench.learning.request import Lane, TrainRequest
from fal_bench.plugins.built_in import MODEL
from fal_bench.plugins.needs import LocalTraining
from fal_bench.task import ModelSpec

SHAPES: Final = ((1, 8, 8), (1, 16, 16), (3, 32, 32), (3, 1, 32), (16, 1, 1))
"""A model is checked on samples of the first of these shapes that it accepts."""

ROWS: Final = 8
TOLERANCE: Final = 1e-4
RECIPE: Final = LocalTraining(epochs=1, batch_size=8, stop_at_accuracy=None)


class ModelSubject(FunctionSubject[Model]):
    """One model under check."""

    kind = MODEL

    @once
    def architecture(self) -> Architecture:
        """What it builds for the first samples that it accepts."""
        given = self.params.model_dump(mode="json", exclude_defaults=True)
        spec, refusals = ModelSpec(kind=self.name, **given), []
        for shape in SHAPES:
            found = Architecture(spec, shape, CLASSES, function=self.code)
            with owned_by("builds"):
                refusal = self.call(partial(_refusal, found), "building")
            if refusal is None:
                return found
            refusals.append(refusal)
        raise Broken("builds", Failure(f"It accepts no samples: {' '.join(refusals)}"))

    def make(self) -> Model:
        """Return a freshly drawn model."""
        return self.architecture.fresh(torch.Generator().manual_seed(1))

    @property
    def samples(self) -> Tensor:
        """Samples of the shape it is checked on, new ones each time."""
        return blobs(self.architecture.input_shape).train_features[:ROWS].clone()

    def predicted(self, samples: Tensor) -> FloatArray:
        """Return the logits of samples, as the rest of the suite sees them.

        Raises:
            Failure: it raised or hung, or they are not finite numbers of the right shape.
        """
        model, where = self.made, f"samples of shape {tuple(samples.shape)}"
        logits = self.call(lambda: predict(model, samples).logits, "predicting", where)
        expected = (len(samples), CLASSES)
        if logits.shape != expected:
            raise Failure(f"Its logits have shape {logits.shape}, not {expected}.", where)
        if not np.isfinite(logits).all():
            raise Failure("A logit is not finite.", where)
        return logits

    def call_all(self) -> None:
        """Build it and predict."""
        _ = self.ordinary
        self.call(self.make, "building")
        self.predicted(self.samples)

    @once
    def ordinary(self) -> FloatArray:
        """The logits of ordinary samples; others are compared with them."""
        _ = self.architecture
        with owned_by("logits"):
            return self.predicted(self.samples)

    def in_training(
        self, samples: Tensor, weights: Weights | None = None
    ) -> tuple[nn.Module, Tensor]:
        """Return a network in training mode, with fresh or given weights, and its logits."""
        network = self.made.module().train()
        if weights is not None:
            network.load_state_dict(weights)

        def forward() -> Tensor:
            with seeded(1):  # layers such as dropout may draw then
                logits: Tensor = network(samples)
                return logits

        where = f"samples of shape {tuple(samples.shape)}"
        return network, self.call(forward, "the network in training mode", where)


def _refusal(architecture: Architecture) -> str | None:
    """Build a network; return what the model says if it refuses the samples."""
    try:
        _ = architecture.network
    except InvalidSpecError as error:
        return str(error)
    return None


check = ModelSubject.check

check(params)


@check
def builds(subject: ModelSubject) -> str:
    """It builds a module with a body and a linear head of one output a class.

    What to do: Take channels, height and width from input_shape and the number of outputs from
    n_classes; let the body end in embeddings of shape (n, d), and the head be nn.Linear(d,
    n_classes). Raise InvalidSpecError for samples that are too small.
    """
    shape = "x".join(map(str, subject.architecture.input_shape))
    numbers = sum(tensor.numel() for tensor in subject.made.weights.values())
    return f"{numbers} numbers for samples of {shape}"


@check
def logits(subject: ModelSubject) -> None:
    """Logits are finite, one a class.

    What to do: Look for divisions and logarithms in the body, and for layers whose weights start
    unset.
    """
    _ = subject.ordinary


@check
def global_random(subject: ModelSubject) -> None:
    """Weights come from torch's layers, and nothing is drawn in eval mode.

    What to do: Draw initial weights with torch alone, seed nothing, and let layers that draw, such
    as dropout, do so in training mode only.
    """
    subject.check_random()
    ends = [subject.call(partial(_end_of_stream, subject, seed), "building") for seed in (1, 2)]
    if ends[0].equal(ends[1]):
        raise Failure("It seeds torch's generator, so all runs start from the same weights.")


def _end_of_stream(subject: ModelSubject, seed: int) -> Tensor:
    """Return where building leaves torch's generator that begins at a seed."""
    with seeded(seed):
        subject.code(subject.architecture.input_shape, CLASSES, **subject.arguments)
        return torch.get_rng_state()


@check
def settings(subject: ModelSubject) -> None:
    """Settings of the process are left as they were.

    What to do: Change settings only inside a context that puts them back (torch.no_grad).
    """
    subject.check_settings()


@check
def repeatable(subject: ModelSubject) -> None:
    """Same stream, same weights; same samples, same logits.

    What to do: Make no generators of your own, and keep nothing on the module between calls that
    is neither a parameter nor a buffer.
    """
    first = subject.ordinary
    subject.require(global_random)
    again = subject.call(subject.make, "building")
    if digest(again.weights) != digest(subject.made.weights):
        raise Failure("Built twice from the same random stream, it starts from other weights.")
    if not np.array_equal(first, subject.predicted(subject.samples)):
        raise Failure("The same samples have other logits the second time.")


@check
def mutation(subject: ModelSubject) -> None:
    """The samples are not changed.

    What to do: Use no operation in place on the input: no nn.ReLU(inplace=True) in front, nothing
    that ends in an underscore.
    """
    _ = subject.ordinary
    for mode, run in (("eval", subject.predicted), ("training", subject.in_training)):
        samples = subject.samples
        run(samples)
        if not samples.equal(subject.samples):
            raise Failure(f"In {mode} mode it changed the samples in place.")


@check
def rows(subject: ModelSubject) -> None:
    """In eval mode the logits of a sample do not depend on the others.

    What to do: Compute each row from itself: statistics of a batch belong into layers such as
    nn.BatchNorm2d, which use running ones in eval mode.
    """
    together = subject.ordinary
    subject.require(repeatable)
    others = subject.samples
    others[ROWS // 2 :] *= -3
    backwards = subject.predicted(subject.samples.flip(0))[::-1]
    changed = subject.predicted(others)[: ROWS // 2]
    for found in (backwards, changed):
        if not np.allclose(found, together[: len(found)], rtol=TOLERANCE, atol=TOLERANCE):
            raise Failure("Other samples in the batch change the logits of a sample.")


@check
def single_sample(subject: ModelSubject) -> str | None:
    """A batch of one sample has its logits, and trains or says why not.

    What to do: Use flatten(1) in place of squeeze(), and no spread over a batch.
    """
    together = subject.ordinary
    subject.require(rows)
    alone = subject.predicted(subject.samples[:1])
    if not np.allclose(alone, together[:1], rtol=TOLERANCE, atol=TOLERANCE):
        raise Failure("A sample has other logits alone than beside others.")
    try:
        _, found = subject.in_training(subject.samples[:1])
    except Failure as failure:  # as batch normalisation of embeddings does
        return f"not for training: {failure.what}"
    if not found.isfinite().all():
        raise Failure("In training mode, a logit of a batch of one sample is not finite.")
    return None


@check
def gradients(subject: ModelSubject) -> None:
    """Every parameter gets a gradient.

    What to do: Use every parameter in forward, and freeze none: the engines train all of them.
    What is not trained can be a buffer.
    """
    _ = subject.ordinary
    network = subject.made.module()
    frozen = [name for name, one in network.named_parameters() if not one.requires_grad]
    if frozen:
        raise Failure(f"{frozen[0]} asks for no gradient.")
    unused = [name for name, one in _gradients(subject).items() if one is None]
    if unused:
        raise Failure(f"The logits do not depend on {unused[0]}.")


def _gradients(subject: ModelSubject, weights: Weights | None = None) -> dict[str, Tensor | None]:
    """Return the gradient of each parameter; None if the logits do not depend on it."""
    network, found = subject.in_training(subject.samples, weights)
    names, tensors = zip(*network.named_parameters(), strict=True)
    loss = cross_entropy(found, torch.arange(ROWS) % CLASSES)
    return dict(zip(names, torch.autograd.grad(loss, tensors, allow_unused=True), strict=True))


@check
def training(subject: ModelSubject) -> None:
    """Clients train it, alike alone and beside others, and all of it moves.

    What to do: Keep the state of a training in parameters and buffers alone, and start from
    weights of the usual size; activations that are 0 everywhere pass no gradient on.
    """
    _ = subject.ordinary
    subject.require(gradients, repeatable, mutation)
    beside = subject.call(partial(_trained, subject, (0, 1, 2)), "a training")[1]
    [alone] = subject.call(partial(_trained, subject, (1,)), "a training")
    for name, tensor in beside.items():
        if not tensor.isfinite().all():
            raise Failure(f"{name} does not stay finite in a training.")
        if not tensor.equal(alone[name]):
            raise Failure(f"{name} ends elsewhere when a client trains alone.")
    # Afterwards, for the head may start from zeros.
    for name, gradient in _gradients(subject, beside).items():
        if gradient is None or not gradient.any():
            raise Failure(f"{name} does not move in a training: its gradient is 0.")


def _trained(subject: ModelSubject, clients: tuple[int, ...]) -> tuple[Weights, ...]:
    """Return the weights of some clients after a training in the real engine."""
    data = blobs(subject.architecture.input_shape)
    lanes = tuple(
        Lane(
            subject.made.weights,
            data.train_features[client::10][: 20 + 2 * client],
            data.train_labels[client::10][: 20 + 2 * client],
            np.random.default_rng(client),
        )
        for client in clients
    )
    [trained] = train([TrainRequest(subject.architecture, RECIPE, lanes)])
    return trained.weights
