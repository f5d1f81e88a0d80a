"""How the report writes numbers, names and facts: one spelling for terminal, page and Markdown."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import jinja2

from fal_bench.errors import one_line
from fal_bench.reporting.context import ReportContext
from fal_bench.reporting.facts import Fact

_SCALES = ((5_000, "small"), (50_000, "medium"), (math.inf, "large"))
"""How the largest pool of a comparison is called."""


def percent(share: float) -> str:
    """Write a share that somebody chose, such as the target, without losing its digits."""
    return f"{100 * share:.4g} %"


def share(value: float) -> str:
    """Write a share that was measured: "61.3 %"; empty if there is none."""
    return "" if math.isnan(value) else f"{100 * value:.1f} %"


def counted(number: int, noun: str, several: str = "") -> str:
    """Write a number of things: "1 seed", "5 seeds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {several or noun + 's'}"


def budget(labels: float, reached: int, runs: int) -> str:
    """Write a mean budget to target, in labels; empty if there is none.

    A leading ">" says that at least one run did not reach the target, so that the mean is only
    a lower bound.
    """
    if math.isnan(labels):
        return ""
    return f"{labels:.0f}" if reached == runs else f">{labels:.0f}"


def signed(saving: float) -> str:
    """Write a saving: "+12 %", "-3 %" or "0 %"; empty if there is none."""
    if math.isnan(saving):
        return ""
    # Rounding to a whole number first avoids "-0 %".
    whole = round(100 * saving)
    return f"{whole:+d} %" if whole else "0 %"


def bracketed(text: str, low: float, high: float) -> str:
    """Write the interval of a saving behind it: "+12 % [4, 19]"; none if there is none.

    One that is open to one side is "[4 or more]" or "[19 or less]".
    """
    if math.isnan(low) and math.isnan(high):
        return text
    if math.isnan(high):
        return f"{text} [{_end(low)} or more]"
    if math.isnan(low):
        return f"{text} [{_end(high)} or less]"
    return f"{text} [{_end(low)}, {_end(high)}]"


def _end(value: float) -> str:
    """Write an end of an interval in percent, so that it never looks like 0 if it is not."""
    whole = round(100 * value)
    return str(whole) if whole or not value else f"{100 * value:.1g}"


def change(saving: float) -> str:
    """Write a saving that is not nothing in words: "12 % fewer", "below 1 % more"."""
    size = round(100 * abs(saving))
    return f"{f'{size} %' if size else 'below 1 %'} {'more' if saving < 0 else 'fewer'}"


def change_interval(low: float, high: float) -> str:
    """Write the interval of a saving in the saving's own direction."""
    if low < 0 < high:
        return f"from {change(low)} to {change(high)}"
    near, far = sorted((abs(low), abs(high)))
    return f"{_end(near)} to {_end(far)} %"


def metric(context: ReportContext) -> str:
    """Return the metric's name in words."""
    return one_line(context.metric.replace("_", " "))


def measured(value: float, metric: str) -> str:
    """Write a value of a metric: accuracies as "61.3 %", others as "0.613"; empty if unknown."""
    if metric == "accuracy" or math.isnan(value):
        return share(value)
    return f"{value:.3g}"


def target(context: ReportContext) -> str:
    """Write the target: "50 %", or what a ladder of them is."""
    if not context.ladder:
        return target_value(context)
    return f"{len(context.ladder)} {metric(context)} targets"


def middle_target(context: ReportContext) -> str:
    """Write the target that labels refer to: "50 %", or "the middle target"."""
    if not context.ladder:
        return target_value(context)
    if len(context.tasks) == 1:
        return f"the middle target, {target_value(context)}"
    return "the middle target"


def value(target: float, metric: str) -> str:
    """Write a target without losing its digits: accuracies as "50 %", others as "0.5"."""
    return percent(target) if metric == "accuracy" else f"{target:.4g}"


def target_value(context: ReportContext) -> str:
    """Write the target's own value: "50 %", "log loss 0.8"."""
    name = "" if context.metric == "accuracy" else f"{metric(context)} "
    return name + value(context.target, context.metric)


def question(context: ReportContext) -> str:
    """Write the question that a board answers, without its setting."""
    spent = "Cost of labels" if context.accounting == "cost" else "Labels"
    reached = target(context) if context.ladder else _plain_targets([context])
    return f"{spent} until the federation reaches {reached}"


def _plain_targets(contexts: Sequence[ReportContext]) -> str:
    """Write the targets that were asked for, of one metric: "40 and 50 % accuracy"."""
    name = metric(contexts[0])
    if name == "accuracy":
        return f"{listed([f'{100 * one.target:.4g}' for one in contexts])} % accuracy"
    return f"{name} {listed([f'{one.target:.4g}' for one in contexts])}"


def which_strategy(contexts: Sequence[ReportContext]) -> str:
    """Write the question that boards of several targets answer, as a question."""
    reached = []
    for name in dict.fromkeys(metric(one) for one in contexts):
        mine = [one for one in contexts if metric(one) == name]
        plain = [one for one in mine if not one.ladder]
        if plain:
            reached.append(_plain_targets(plain))
        if len(plain) < len(mine):
            reached.append(f"the same {name}")
    need = (
        "pays least for labels" if contexts[0].accounting == "cost" else "needs the fewest labels"
    )
    return f"Which strategy {need} to reach {' and '.join(reached)}?"


def scale(context: ReportContext) -> str:
    """Write on what was measured: data, models, and how much of it."""
    of = [sorted({getattr(one, kind).partition("[")[0] for one in context.tasks} - {""})
          for kind in ("dataset", "model")]  # fmt: skip
    data, models = (listed(names) if names else "" for names in of)
    what = f"{data} with {models}" if data and models else data
    pools = sorted({facts.pool for facts in context.tasks})
    pool = f"{pools[0]:,}" if len(pools) == 1 else f"{pools[0]:,} to {pools[-1]:,}"
    size = next(word for most, word in _SCALES if pools[-1] <= most)
    counts = [counted(len(context.tasks), "task"), counted(len(context.seeds), "seed")]
    return (
        f"{'Measured on ' + what + ': ' if what else ''}{', '.join(counts)}, pools of {pool} "
        f"samples ({size})."
    )


def ladder(context: ReportContext) -> str:
    """Write what the targets of a ladder are; empty without one."""
    if not context.ladder:
        return ""
    spent = "Costs" if context.spent == "cost" else "Labels"
    middle = [f"{measured(value, context.metric)} on {one_line(task)}"
              for task, value in context.task_targets]  # fmt: skip
    return (
        f"Savings are averaged over {len(context.ladder)} targets, 30 to 90 % of the way from what "
        f"{one_line(context.baseline)} has with its initial labels to what it has at the cap. "
        f"{spent} are those to the middle target{': ' if middle else ''}{', '.join(middle)}."
    )


def setting(context: ReportContext) -> str:
    """Write the setting of the question: suite, seeds and accounting."""
    seeds = counted(len(context.seeds), "seed")
    return f"suite {one_line(context.suite)}, {seeds}, {context.accounting} accounting"


def span(days: tuple[date, date] | None) -> str:
    """Write the days from first to last: "2025-11-24", "2025-11-24 to 2025-11-25", or nothing."""
    if days is None:
        return ""
    return " to ".join(sorted({day.isoformat() for day in days}))


def listed(names: Sequence[object]) -> str:
    """Join names as in a sentence: "a, b and c"."""
    words = [one_line(str(name)) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def sentences(facts: Sequence[Fact], context: ReportContext) -> list[str]:
    """Word facts of a board; every sentence stands in ``templates/sentences.txt.j2``.

    Args:
        facts: the facts.
        context: the question that the board answers.

    Returns:
        One text a fact, on one line and without control characters. It may hold square brackets:
        print it without markup.
    """
    words = _words(context)
    return [one_line(getattr(words, fact.kind())(fact)) for fact in facts]


def _words(context: ReportContext) -> Any:
    """Return the macros of the sentences, for one question."""
    return _template().make_module({"context": context})


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fal_bench.reporting"),
        autoescape=False,  # what is worded is plain text; who shows it escapes it
        undefined=jinja2.StrictUndefined,
    )
    known = (
        change, change_interval, counted, listed, measured, metric, middle_target, one_line,
        share, target, target_value,
    )  # fmt: skip
    environment.globals.update({one.__name__: one for one in known})
    return environment.get_template("sentences.txt.j2")
