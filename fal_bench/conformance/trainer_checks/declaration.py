"""The class says what the engines and the command line need to know of it."""

from __future__ import annotations

import math

from fal_bench.conformance.base import Check, Failure
from fal_bench.conformance.naming import check_name
from fal_bench.conformance.trainer_subject import TrainerSubject
from fal_bench.inputs.params import Params


def _run(subject: TrainerSubject) -> None:
    kind = subject.kind
    check_name(kind, "trainer=")
    if not (isinstance(kind.Params, type) and issubclass(kind.Params, Params)):
        raise Failure("Params is not a subclass of fal_bench.Params.")
    if not (kind.version is None or isinstance(kind.version, int)):
        raise Failure(f"version is {kind.version!r}, neither None nor a whole number.")
    trainer = subject.made
    subject.check_methods()
    if not subject.call(lambda: trainer == subject.make(), "comparing two trainers", ""):
        raise Failure("Two trainers with the same parameters are not equal.")
    mixing = subject.concentration()
    valid = mixing is None or (isinstance(mixing, int | float) and 0 < mixing < math.inf)
    if not valid:
        raise Failure(f"mixes_unlabelled is {mixing!r}, neither None nor above 0.")


CHECK = Check(
    "declaration",
    "name, parameters and methods are what the engines expect",
    "Give the class a name without spaces, commas or brackets, such as 'my-loss'; override "
    "losses, and mixed_losses if mixes_unlabelled is set; see fal_bench.Trainer.",
    _run,
)
