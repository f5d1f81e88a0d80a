"""The version of the arithmetic, part of every run's key."""

NUMERICS_VERSION = 4
"""Raised by any change to engines, models or harness that changes the bits of a curve."""
