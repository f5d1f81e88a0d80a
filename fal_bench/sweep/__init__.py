"""Cells, the result store, and running many cells."""
