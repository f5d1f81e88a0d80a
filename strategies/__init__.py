"""The built-in strategies, a rule a file; installed as fal_bench.strategies."""

from __future__ import annotations

from typing import Final

BESIDE: Final = {
    "ens-badge": "badge",
    "ft-badge": "badge",
    "sal-badge": "badge",
    "sal-coreset": "coreset",
    "ens-entropy": "fal_entropy",
    "ens-rank-entropy": "fal_entropy",
    "ft-entropy": "fal_entropy",
    "sal-entropy": "fal_entropy",
    "sal-margin": "fal_margin",
}
"""Strategies that stand in the file of another one, whose rule they apply to another model."""
