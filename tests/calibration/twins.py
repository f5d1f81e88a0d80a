"""Null strategies: random sampling under other names, so that no difference can be found."""

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


class UnevenRandom(Random):
    """Random sampling in portions of random size: it spends the same, but not at the same time."""

    name = "uneven-random"
    version = None
    adaptive = True

    def select(self, client, budget):
        """Pick between one and all of the samples that the client may buy."""
        return super().select(client, int(client.rng.integers(1, budget + 1)))
