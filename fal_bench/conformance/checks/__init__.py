"""The checks, in the order in which they are reported."""

from fal_bench.conformance.base import Check
from fal_bench.conformance.checks import (
    absent_class,
    coordination,
    declaration,
    duplicates,
    empty_client,
    finite_scores,
    global_random,
    hidden_labels,
    isolation,
    memory,
    mutation,
    needs,
    one_left,
    params,
    pool_order,
    positions,
    repeatable,
    returns,
    settings,
    single_class,
    task,
    whole_pool,
)
from fal_bench.conformance.subject import Subject

CHECKS: tuple[Check[Subject], ...] = (
    declaration.CHECK,
    params.CHECK,
    task.CHECK,
    returns.CHECK,
    needs.CHECK,
    coordination.CHECK,
    positions.CHECK,
    repeatable.CHECK,
    global_random.CHECK,
    memory.CHECK,
    settings.CHECK,
    mutation.CHECK,
    hidden_labels.CHECK,
    isolation.CHECK,
    pool_order.CHECK,
    empty_client.CHECK,
    one_left.CHECK,
    whole_pool.CHECK,
    single_class.CHECK,
    absent_class.CHECK,
    duplicates.CHECK,
    finite_scores.CHECK,
)
"""What every strategy must satisfy."""
