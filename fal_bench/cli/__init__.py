"""The command line: one file a verb.

Nothing heavy is imported until a verb runs, so that help and completion are quick.
"""

from fal_bench.cli.main import main

__all__ = ["main"]
