"""Runs, the result store, and running many runs."""
