"""Suites: named lists of tasks, shipped as TOML."""
