"""A pool of copies."""

from __future__ import annotations

from fal_bench.conformance.base import Check
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.variants import unlabelled, with_images


def _run(subject: Subject) -> None:
    setting = subject.setting()
    for client, initial in enumerate(setting.initial):
        pool = unlabelled(setting, client)
        images = setting.dataset.train_features
        # All copies of one sample that is labelled and one that is not: fewer distinct samples
        # than the budget, and distances of 0 to what is labelled.
        setting = with_images(setting, pool[1:], images[int(pool[0])].clone())
        setting = with_images(setting, pool[2::2], images[int(initial[0])].clone())
    subject.survives(setting, "With copies of two samples only in every pool")


CHECK = Check(
    "duplicates",
    "duplicate samples, fewer distinct ones than the budget",
    "Expect distances and variances of 0, and fewer distinct points than clusters; break ties by "
    "position.",
    _run,
)
