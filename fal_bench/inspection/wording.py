"""The words of an inspection: one template words each finding once."""

from __future__ import annotations

import functools
from typing import Any

import jinja2

from fal_bench.errors import one_line
from fal_bench.inspection.facts import Finding, Verdict
from fal_bench.reporting.wording import (
    bracketed,
    counted,
    listed,
    measured,
    percent,
    share,
    signed,
)
from fal_bench.task.target import ACCURACY


def sentence(fact: Finding | Verdict) -> str:
    """Say what was found, on one line."""
    return one_line(getattr(_words(), fact.kind())(fact))


def advice(finding: Finding) -> str:
    """Say what to change, on one line; empty for what needs no change."""
    macro = getattr(_words(), f"change_{finding.kind()}", None)
    return "" if macro is None or finding.grade == "good" else one_line(macro(finding))


def named_metric(metric: str) -> str:
    """Return what a metric is called in a sentence: "test accuracy", "worst client accuracy"."""
    return "test accuracy" if metric == ACCURACY else metric.replace("_", " ")


def size(value: float, metric: str) -> str:
    """Write the size of a difference: "1.3 points" of accuracy, "0.013" of another metric."""
    return f"{100 * value:.1f} points" if metric == ACCURACY else f"{value:.2g}"


def difference(value: float, metric: str) -> str:
    """Write a difference with its sign: "+1.3 points", "-0.013"."""
    return f"{'-' if value < 0 else '+'}{size(abs(value), metric)}"


def minutes(value: float) -> str:
    """Write a time: "4 s", "1.5 min", "3 h"."""
    if value < 1.5:
        return f"{60 * value:.2g} s"
    return f"{value:.2g} min" if value < 90 else f"{value / 60:.2g} h"


@functools.cache
def _words() -> Any:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fal_bench.inspection"),
        autoescape=False,  # what is worded is plain text; who shows it escapes it
        undefined=jinja2.StrictUndefined,
    )
    known = (
        bracketed,
        counted,
        difference,
        listed,
        measured,
        minutes,
        named_metric,
        percent,
        share,
        signed,
        size,
    )
    environment.globals.update({one.__name__: one for one in known})
    return environment.get_template("sentences.txt.j2").module
