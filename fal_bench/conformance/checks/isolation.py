"""Clients learn of each other through counted messages only."""

from __future__ import annotations

import torch

from fal_bench.conformance.base import Check, Failure, NotApplicable
from fal_bench.conformance.checks.repeatable import CHECK as REPEATABLE
from fal_bench.conformance.subject import Subject
from fal_bench.conformance.variants import own_hidden, with_images


def _run(subject: Subject) -> None:
    first = subject.ordinary
    if first.messages:
        raise NotApplicable("it exchanges messages, which are counted")
    subject.require(REPEATABLE)
    setting = subject.setting()
    clients = len(setting.shares)
    observed = clients // 2  # with somebody before it, whose data it could have been left
    for client in range(clients):
        if client != observed:
            ids = own_hidden(setting, client)
            images = setting.dataset.train_features[ids]
            other = images.flip(0) + torch.linspace(-1, 1, images.shape[-1])
            setting = with_images(setting, ids, other)
    # One query: later models are trained on what the other clients chose.
    twin = subject.run(setting, queries=1)
    same = first.picks.get((0, observed)) == twin.picks.get((0, observed))
    if twin.error is not None or not same:
        raise Failure(
            "With other unlabelled samples at the other clients, a client selects other samples, "
            "and no message was sent: it sees their data.",
            first.where(observed, 0),
        )


CHECK = Check(
    "isolation",
    "clients learn of each other through counted messages only",
    "Keep nothing of a client on self, on the class or in the module; what the server shall know "
    "goes through federation.gather, what clients shall know through federation.broadcast.",
    _run,
)
