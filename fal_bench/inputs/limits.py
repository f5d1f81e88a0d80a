"""The most that falbench takes of what users count: every limit in one place.

The limits lie far above what anybody computes. Slips of the keyboard and hostile values are refused
by them in one sentence, before they cost memory or time. Whether a model, images or arrays fit into
this machine's memory is checked where their size is known.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

MOST_RUNS: Final = 20_000
"""Runs of one comparison: tasks times strategies times seeds."""

MOST_SEED: Final = 2**31
"""All seeds are below it."""

MOST_STRATEGIES: Final = 10_000
"""Strategies of one comparison, every combination of a grid counted."""

MOST_TASKS: Final = 1_000
"""Tasks of one suite."""

MOST_TARGETS: Final = 100
"""Targets of one comparison; each has a leaderboard."""

MOST_CYCLES: Final = 10_000
"""Points of a task's label grid, which a run has a cycle each for."""

MOST_JOBS: Final = 1_000
"""Workers of one comparison."""

MOST_SECONDS: Final = 10**8
"""The longest time limit, about three years; clocks do not take all numbers."""

MOST_SUITE_BYTES: Final = 2**19
"""Bytes of a suite's file."""

MOST_IMAGE_BYTES: Final = 2**28
"""Bytes of an image's file."""

MOST_CLIENTS: Final = 100_000
"""Clients of a federation."""

MOST_ROUNDS: Final = 1_000_000
"""Rounds of a cycle."""

Rounds = Annotated[int, Field(ge=1, le=MOST_ROUNDS)]
"""Rounds of a cycle."""

Epochs = Annotated[int, Field(ge=1, le=10_000)]
"""Epochs of a round, which is the shortest piece that training can be timed by."""

Samples = Annotated[int, Field(ge=1, le=10**9)]
"""Labels, or cycles. What there is of them, the data say."""

BatchSize = Annotated[int, Field(ge=1, le=1_000_000)]
"""Samples of a batch, which the draws of an epoch have room for, whatever the data have."""

MOST_PRICE: Final = 1e9
"""Most that one label may cost."""

MOST_RATE: Final = 1e6
"""A learning rate or a weight decay; float32 does not hold all that Python's numbers do."""

Width = Annotated[int, Field(ge=1, le=100_000)]
"""Outputs or channels of one layer."""

MOST_LAYERS: Final = 100
"""Layers, or blocks of layers, of a model."""

Pixels = Annotated[int, Field(ge=1, le=4_096)]
"""Side of the square that images are scaled to."""

MOST_CLASSES: Final = 1_000
"""Classes of a table; more are probably no classes but numbers."""

MOST_CATEGORIES: Final = 100
"""Different texts in a column of a table; each becomes a feature."""
