"""BADGE: diverse gradient embeddings of large norm, under one model or the mean of two."""

from __future__ import annotations

from typing import ClassVar

from fal_bench.acquisition.diversity import First, k_means_plus_plus
from fal_bench.arrays import IntArray
from fal_bench.plugins.strategy import ClientView, Params
from fal_bench.strategies._local_only import LocalOnlyParams
from fal_bench.strategies._outlook import (
    ByBothModels,
    ByGlobalModel,
    ByLocalModel,
    ByTunedModel,
    Outlook,
    Rule,
)


class BadgeParams(Params):
    """Parameters of ``badge``.

    Attributes:
        first: the first point: drawn at random, as k-means++ does (the paper's), or the one with
            the largest norm (the released code's).
    """

    first: First = "random"


class TrainedBadgeParams(BadgeParams, LocalOnlyParams):
    """Parameters of ``badge``, and of a model that is trained on a client's labels."""


class BadgeRule(Rule):
    """k-means++ sampling on hallucinated last-layer gradients."""

    family: ClassVar[str] = "hybrid"

    def pick(self, client: ClientView, seen: Outlook, budget: int) -> IntArray:
        """Draw ``budget`` samples, each with chances as its squared distance to the drawn."""
        return k_means_plus_plus(seen.gradients(), budget, client.rng, self.params.first)


class Badge(ByGlobalModel, BadgeRule):
    """k-means++ sampling on hallucinated last-layer gradients of the global model.

    Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", ICLR
    2020. The gradient of a sample's loss, with its predicted class as label, is long where the
    model is uncertain; k-means++ draws points that are long and far from each other. The released
    code takes the longest first (``first``). Gradients are kept as outer products and never
    multiplied out (``fal_bench.acquisition.points.OuterProducts``).

    Needs: the global model's probabilities and embeddings. Cost: one pass over the pool, then
    pool x (classes + embedding size) operations a label; memory linear in the pool. Fails where
    the model is sure of everything: all gradients are zero then, and the draw is uniform.
    """

    name: ClassVar[str] = "badge"
    version: ClassVar[int | None] = 1
    paper: ClassVar[str] = "BADGE, Ash et al., ICLR 2020"
    Params: ClassVar[type[Params]] = BadgeParams


class SalBadge(ByLocalModel, BadgeRule):
    """k-means++ sampling on hallucinated last-layer gradients of the local-only model.

    BADGE (Ash et al., ICLR 2020) as ``badge``, with a model trained on the client's own labels
    only (the S-AL arm of Ahn et al., IEEE Access 12, 2024), trained as LoGo's is.

    Needs: the local-only model's probabilities and embeddings. Cost: one training per client and
    cycle, and as ``badge``. Fails where the local model fits its few labels perfectly and is sure
    of classes that it has never seen.
    """

    name: ClassVar[str] = "sal-badge"
    version: ClassVar[int | None] = 2
    paper: ClassVar[str] = "BADGE, Ash et al., ICLR 2020"
    Params: ClassVar[type[Params]] = TrainedBadgeParams


class FtBadge(ByTunedModel, BadgeRule):
    """k-means++ sampling on hallucinated last-layer gradients of the fine-tuned global model.

    One of the ways to join global and local knowledge that LoGo (Kim et al., CVPR 2023) compares
    itself with: ``badge``, but the global model is first trained on the client's own labels, as
    LoGo's local-only model is. The released code always takes the longest gradient first
    (``first=largest-norm``).

    Needs: the global model. Cost: one training per client and cycle, short where the global model
    fits the client's labels already, and as ``badge``. Fails where the tuned model is sure of
    everything, as one that fits few labels perfectly may be: gradients are then close to zero.
    """

    name: ClassVar[str] = "ft-badge"
    version: ClassVar[int | None] = 1
    paper: ClassVar[str] = "LoGo, Kim et al., CVPR 2023"
    Params: ClassVar[type[Params]] = TrainedBadgeParams


class EnsBadge(ByBothModels, BadgeRule):
    """k-means++ sampling on the mean of the global and the local-only model's gradients.

    The ensemble that LoGo (Kim et al., CVPR 2023) compares itself with: each model makes its own
    gradient embedding, with its own predicted class, and k-means++ draws on the mean of the two,
    which need not agree on the class. The released code always takes the longest gradient first
    (``first=largest-norm``). Sums of outer products are never multiplied out
    (``fal_bench.acquisition.points.MeanProducts``).

    Needs: the global and the local-only model. Cost: one training per client and cycle, two passes
    over the pool, and four times the distances of ``badge``. Fails where the two embeddings have
    nothing in common, since the local model starts from weights of its own: the mean is then that
    of two unrelated spaces.
    """

    name: ClassVar[str] = "ens-badge"
    version: ClassVar[int | None] = 1
    paper: ClassVar[str] = "LoGo, Kim et al., CVPR 2023"
    Params: ClassVar[type[Params]] = TrainedBadgeParams
