"""The checks of trainers, in the order in which they are reported."""

from fal_bench.conformance.base import Check
from fal_bench.conformance.checks import params
from fal_bench.conformance.trainer_checks import (
    absent_class,
    declaration,
    finite,
    global_random,
    gradients,
    lanes,
    losses,
    mixtures,
    mutation,
    probs,
    repeatable,
    samples,
    settings,
    single_sample,
    training,
)
from fal_bench.conformance.trainer_subject import TrainerSubject

TRAINER_CHECKS: tuple[Check[TrainerSubject], ...] = (
    declaration.CHECK,
    params.CHECK,
    losses.CHECK,
    finite.CHECK,
    gradients.CHECK,
    global_random.CHECK,
    repeatable.CHECK,
    settings.CHECK,
    mutation.CHECK,
    samples.CHECK,
    lanes.CHECK,
    single_sample.CHECK,
    absent_class.CHECK,
    mixtures.CHECK,
    probs.CHECK,
    training.CHECK,
)
"""What every trainer must satisfy."""
