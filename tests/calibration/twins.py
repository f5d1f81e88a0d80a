"""Identical twins of the built-in random strategy: they differ in their random stream alone."""

from fal_bench.strategies.random import Random


class TwinOne(Random):
    """Random sampling from a stream of its own."""

    name = "twin-1"
    version = None


class TwinTwo(Random):
    """Random sampling from a stream of its own."""

    name = "twin-2"
    version = None


class TwinThree(Random):
    """Random sampling from a stream of its own."""

    name = "twin-3"
    version = None
