"""The limits that the documentation names are those that hold."""

from pathlib import Path
from typing import get_args

import pytest

from fal_bench.inputs import limits, values

PAGE = (Path(__file__).parents[2] / "docs" / "suites" / "README.md").read_text(encoding="utf-8")


def most(kind):
    field = get_args(kind)[1]
    return next(one.le for one in field.metadata if hasattr(one, "le"))


@pytest.mark.parametrize(
    ("what", "number"),
    [
        ("runs of a comparison", limits.MOST_RUNS),
        ("strategies of a comparison", limits.MOST_STRATEGIES),
        ("tasks of a suite", limits.MOST_TASKS),
        ("targets of a comparison", limits.MOST_TARGETS),
        ("cycles on", limits.MOST_CYCLES),
        ("| clients;", limits.MOST_CLIENTS),
        ("; rounds of a cycle", most(limits.Rounds)),
        ("local epochs", most(limits.Epochs)),
        ("samples of a batch", most(limits.BatchSize)),
        ("layers of", limits.MOST_LAYERS),
        ("outputs of a layer", most(limits.Width)),
        ("a suite's file", limits.MOST_SUITE_BYTES // 1024),
        ("lists and tables", values.MOST_NESTED),
    ],
)
def test_the_page_on_suites_names_the_limits(what, number):
    [line] = [line for line in PAGE.splitlines() if line.startswith("|") and what in line]
    assert f"{number:,}" in line.split("|")[2]
