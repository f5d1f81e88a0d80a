"""Collects what the benchmarks measured and prints it as one table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

RESULTS: list[tuple[str, float, str]] = []


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def report(benchmark):
    """Return a function that notes one measured figure and what it should be."""

    def note(work: str, value: float, wanted: str = "") -> None:
        RESULTS.append((work, value, wanted))
        benchmark.extra_info[work] = value

    return note


def pytest_terminal_summary(terminalreporter):
    if not RESULTS:
        return
    terminalreporter.section("measured ratios")
    width = max(len(work) for work, _, _ in RESULTS)
    for work, value, wanted in RESULTS:
        terminalreporter.write_line(f"{work:{width}}  {value:8.2f}  {wanted}")
