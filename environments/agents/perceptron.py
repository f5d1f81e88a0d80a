"""A Q-network of linear layers and ReLU: its bounded values, and its gradient written by hand.

Networks of this size spend most of an autograd call on bookkeeping.
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import Tensor, nn
from torch.nn import functional


class BoundedValues(nn.Module):
    """A last layer whose values stay within twice the range of returns, and keep their order.

    A value x becomes m + r tanh((x - m) / r), where m is the middle of the range and r its length.
    Inside the range this is nearly x: at its ends, 0.96 of the way there.

    Args:
        least: the least return.
        largest: the largest return.
    """

    def __init__(self, least: float, largest: float) -> None:
        super().__init__()
        self.middle, self.length = (least + largest) / 2, largest - least

    def forward(self, values: Tensor) -> Tensor:
        """Return the bounded values, shape as given."""
        return self.stretched(torch.tanh(self.reduced(values)))

    def reduced(self, values: Tensor) -> Tensor:
        """Return the values in lengths of the range from its middle."""
        return (values - self.middle) / self.length

    def stretched(self, reduced: Tensor) -> Tensor:
        """Undo ``reduced``."""
        return self.middle + self.length * reduced


class Perceptron:
    """The layers of a Q-network, whose parameters it shares.

    Args:
        layers: its linear layers, between which there is a ReLU.
        bound: the layer after them, if there is one.

    Attributes:
        parameters: weight and bias of each layer, first to last.
    """

    def __init__(self, layers: list[nn.Linear], bound: BoundedValues | None = None) -> None:
        self._layers = [(layer.weight, layer.bias) for layer in layers]
        self._bound = bound
        self.parameters: list[Tensor] = [one for layer in self._layers for one in layer]

    @classmethod
    def of(cls, network: Any) -> Perceptron | None:
        """Return the layers of stable-baselines3's ``QNetwork``; None if it has other ones.

        Its observations must be flat numbers, which nothing has to be done to.
        """
        layers = list(network.q_net)
        bound = layers.pop() if isinstance(layers[-1], BoundedValues) else None
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        kinds = [*[nn.Linear, nn.ReLU] * (len(linear) - 1), nn.Linear]
        usual = [type(layer) for layer in layers] == kinds and all(
            layer.bias is not None for layer in linear
        )
        seen = network.observation_space
        flat = isinstance(seen, spaces.Box) and len(seen.shape) == 1 and seen.dtype == "float32"
        plain = usual and flat and type(network.features_extractor) is FlattenExtractor
        return cls(linear, bound) if plain else None

    @torch.no_grad()
    def activations(self, observations: Tensor) -> list[Tensor]:
        """Return what each layer sees, and the values, shape (B, n_actions).

        A bound sees the hyperbolic tangent, of which its gradient is made.

        Args:
            observations: shape (B, d).
        """
        passed = [observations]
        for number, (weight, bias) in enumerate(self._layers):
            seen = passed[-1] if number == 0 else passed[-1].relu_()
            passed.append(functional.linear(seen, weight, bias))
        if self._bound is not None:
            passed[-1] = torch.tanh(self._bound.reduced(passed[-1]))
            passed.append(self._bound.stretched(passed[-1]))
        return passed

    @torch.no_grad()
    def gradients(self, activations: list[Tensor], delta: Tensor) -> list[Tensor]:
        """Return the gradients of ``parameters``.

        Args:
            activations: from the method of this name.
            delta: the gradient of the values, shape (B, n_actions).
        """
        if self._bound is not None:
            length = self._bound.length
            delta = torch.ops.aten.tanh_backward(delta * length, activations[-1]) / length
        found: list[Tensor] = []
        for number in reversed(range(len(self._layers))):
            seen = activations[number]
            found[:0] = [delta.t().mm(seen), delta.sum(0)]
            if number:
                below = delta.mm(self._layers[number][0])
                delta = torch.ops.aten.threshold_backward(below, seen, 0)
        return found
