"""Neither the order in which the pool is presented nor the random stream matters."""

from __future__ import annotations

import numpy as np

from fal_bench.conformance.base import Check, Failure, NotApplicable
from fal_bench.conformance.checks.repeatable import CHECK as REPEATABLE
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.trial import Trial
from fal_bench.conformance.variants import with_pool_reordered
from fal_bench.conformance.watch import Watch
from fal_bench.federation.view import LiveFederationView


def _run(subject: Subject) -> None:
    if not subject.kind.deterministic:
        raise NotApplicable("it does not declare deterministic = True")
    first = subject.ordinary
    subject.require(REPEATABLE)
    reordered, before = with_pool_reordered(subject.setting(), seed=0)
    twin = subject.run(reordered, queries=1, watch=Watch(_exchange_streams))
    for client in range(len(reordered.shares)):
        if _selected(first, client) != {before[sample] for sample in _selected(twin, client)}:
            raise Failure(
                "With the pool in another order and another random stream it selects other "
                "samples.",
                first.where(client, 0),
            )


def _exchange_streams(federation: LiveFederationView) -> None:
    rng = np.random.default_rng(1)
    for own in (federation, *federation._views):
        vars(own)["rng"] = rng


def _selected(trial: Trial, client: int) -> set[int]:
    return set(trial.picks.get((0, client), []))


CHECK = Check(
    "pool-order",
    "a deterministic strategy does not depend on the pool's order",
    "Drop deterministic = True if the strategy draws at random or its method depends on the "
    "order; otherwise score each sample by itself and pick with "
    "fal_bench.acquisition.scores.smallest.",
    _run,
)
