"""The built-in strategies, one file each; installed as fal_bench.strategies."""
