"""Adam whose first use does not import PyTorch's compiler."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch.optim import Adam


class EagerAdam(Adam):
    """``torch.optim.Adam`` without its options, with the same state and the same bits.

    PyTorch keeps the compiler away from an optimiser's methods, and imports the compiler to do so,
    which takes a second or more in every process. Here the methods are taken without that.
    """

    add_param_group = inspect.unwrap(Adam.add_param_group)
    state_dict = inspect.unwrap(Adam.state_dict)
    load_state_dict = inspect.unwrap(Adam.load_state_dict)
    zero_grad = inspect.unwrap(Adam.zero_grad)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # takes no closure
        """Take a step against the gradients that the parameters hold."""
        assert closure is None
        for group in self.param_groups:
            moved = [one for one in group["params"] if one.grad is not None]
            if moved:
                self._move(moved, group)

    def _move(self, parameters: list[torch.Tensor], group: dict[str, Any]) -> None:
        """Move parameters that have been moved equally often."""
        gradients = [one.grad for one in parameters if one.grad is not None]
        states = [self._remembered(one) for one in parameters]
        steps, means, squares = (
            [one[name] for one in states] for name in ("step", "exp_avg", "exp_avg_sq")
        )
        first, second = group["betas"]
        torch._foreach_add_(steps, 1)
        taken = steps[0].item()
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - second)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, math.sqrt(1 - second**taken))
        torch._foreach_add_(roots, group["eps"])
        rate = group["lr"] / (1 - first**taken)
        torch._foreach_addcdiv_(parameters, means, roots, value=-rate)

    def _remembered(self, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what is remembered of a parameter: counts and means, zero at first."""
        known: dict[str, torch.Tensor] = self.state[parameter]
        if not known:
            known["step"] = torch.tensor(0.0)
            known["exp_avg"] = torch.zeros_like(parameter)
            known["exp_avg_sq"] = torch.zeros_like(parameter)
        return known
