"""LeaDQ (Sun et al.), adapted from streams to pools: clients that learn together what to query."""

from fal_bench.strategies.leadq_pool.strategy import LeaDQPool

__all__ = ["LeaDQPool"]
