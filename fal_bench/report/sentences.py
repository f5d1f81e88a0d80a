"""Facts in words: every sentence stands in ``templates/sentences.txt.j2``."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jinja2

from fal_bench.report import wording
from fal_bench.report.context import ReportContext
from fal_bench.report.facts import Fact, Winner


def sentences(facts: Sequence[Fact], context: ReportContext) -> list[str]:
    """Word facts of a board.

    Args:
        facts: the facts.
        context: the question that the board answers.

    Returns:
        One text a fact, on one line and without control characters. It may hold square brackets:
        print it without markup.
    """
    words = _words().make_module({"context": context})
    return [wording.one_line(getattr(words, fact.kind())(fact)) for fact in facts]


def certainty(winner: Winner, context: ReportContext) -> str:
    """Say in a few words how sure it is that the winner differs from the baseline."""
    words = _words().make_module({"context": context})
    return wording.one_line(words.certainty(winner.standing))  # type: ignore[attr-defined]


@functools.cache
def _words() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fal_bench.report"),
        autoescape=False,  # what is worded is plain text; who shows it escapes it
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(
        {name: getattr(wording, name) for name in wording.IN_SENTENCES},
    )
    return environment.get_template("sentences.txt.j2")
