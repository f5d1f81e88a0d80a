"""No label that was not bought, and nothing of the test set, decides what is selected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fal_bench.conformance.base import Check, Failure, NotApplicable
from fal_bench.conformance.checks.compare import first_difference
from fal_bench.conformance.checks.repeatable import CHECK as REPEATABLE
from fal_bench.conformance.reach import openings
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.trial import QUERIES
from fal_bench.conformance.variants import with_other_labels
from fal_bench.conformance.watch import Watch
from fal_bench.data import loading


def _run(subject: Subject) -> str:
    if getattr(subject.kind, "reference", False):
        raise NotApplicable("it declares reference = True: it is there to see true labels")
    trial = subject.ordinary
    if trial.watch.refused:
        raise Failure(f"It asked for a label that it must not read: {trial.watch.refused[0]}")
    subject.require(REPEATABLE)
    # Once with all labels changed that it had not bought before its first selection, once with
    # those that it never bought.
    for query in (0, QUERIES - 1):
        _compare(subject, query)
    return "tried by asking, by looking around, and by changing hidden labels"


def _compare(subject: Subject, query: int) -> None:
    """Change what is hidden before the end of a query, and expect the same picks up to it."""
    trial = subject.ordinary
    setting = subject.setting()
    kept = trial.read_before(query) | {int(one) for own in setting.initial for one in own}
    other = with_other_labels(setting, kept, seed=query)
    found: list[str] = []

    def visit(federation: Any) -> None:
        if not found:
            found.extend(openings(federation, other))

    with _no_loading() as loaded:
        twin = subject.run(other, queries=query + 1, watch=Watch(visit))
    if found:
        raise Failure(f"There is a way to what must stay hidden: {found[0]}.", trial.where())
    if loaded():
        raise Failure("It loads a data set by itself, which shows all labels.", trial.where())
    difference = first_difference(trial.picks, twin.picks, cycles=query + 1)
    if twin.error is not None or difference is not None:
        raise Failure(
            "With other labels on samples that it has not bought, and another test set, it "
            "selects other samples: it sees what it must not.",
            trial.where(*(difference or ())),
        )


@contextmanager
def _no_loading() -> Iterator[Callable[[], bool]]:
    """Notice whether anybody loads a registered data set; the worlds need none."""
    before = loading._load.cache_info()
    yield lambda: loading._load.cache_info() != before


CHECK = Check(
    "hidden-labels",
    "no way to labels that were not bought, or to test data",
    "Use client.labels, and client.buy for more: it charges them. What shows true labels on "
    "purpose declares reference = True.",
    _run,
)
