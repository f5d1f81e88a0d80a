"""The command line that leads to a comparison."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from fal_bench.learning.device import CPU


def compare_command(
    *,
    suite: str | None,
    task: str | None,
    device: str,
    plugins: Sequence[Path] = (),
    strategies: Sequence[str],
    seeds: int,
) -> str:
    """Return the command line that runs a comparison's runs, without the question.

    Args:
        suite: a suite's name or TOML file, if it must be named.
        task: the one task, if only one takes part.
        device: class of the device.
        plugins: plugin files and folders.
        strategies: selectors.
        seeds: number of seeds.
    """
    words = ["falbench", "compare"]
    words += ["--suite", suite] if suite else []
    words += ["--task", task] if task else []
    words += [] if device == CPU else ["--device", device]
    for path in plugins:
        words += ["--plugin", str(path)]
    for label in strategies:
        words += ["-s", label]
    return shlex.join([*words, "--seeds", str(seeds)])
