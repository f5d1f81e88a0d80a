"""Gymnasium environments; installed as fal_bench.environments."""
