"""FairFAL: class-fair queries, through whichever model tells the classes apart more fairly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import numpy as np
from pydantic import Field

from fal_bench.acquisition.clustering import class_means
from fal_bench.acquisition.diversity import k_centre_greedy
from fal_bench.acquisition.points import OuterProducts, last_layer_gradients, normalised
from fal_bench.acquisition.scores import entropy, largest
from fal_bench.arrays import IntArray, RealArray
from fal_bench.plugins.strategy import ClientView, FederationView, Params, Selection
from fal_bench.strategies._local_only import LocalOnly, LocalOnlyParams

if TYPE_CHECKING:
    from fal_bench.learning.model import Model

IMBALANCED: Final = 0.5
"""Below this balance gradients are those of the global model."""


class FairFALParams(LocalOnlyParams):
    """Parameters of ``fairfal``, besides the local-only model's.

    Attributes:
        threshold: the global model chooses where 1 - (discrepancy + balance) / 2 is above this.
        oversampling: candidates a label of a class's quota.
    """

    threshold: Annotated[float, Field(ge=0, le=1)] = 0.75
    oversampling: Annotated[int, Field(ge=1)] = 4


class FairFAL(LocalOnly):
    """Equal quotas a pseudo-class; in each the uncertain, spread out over gradient embeddings.

    Zong & Huang, "Federated Active Learning Under Extreme Non-IID and Global Class Imbalance",
    CVPR 2026. Four steps:

    1. In the first query each client tells the server how evenly the global model predicts the
       classes it has labels of (smallest over largest mean probability, classes weighted alike);
       the mean over clients is the balance gamma, and stays. Each client compares the two models'
       mean predictions (discrepancy d). Where 1 - (d + gamma) / 2 > 0.75 the global model tells
       what is uncertain, else the local-only model.
    2. Unlabelled samples take the class of the nearest prototype (mean direction of the class's
       labelled samples in the global embedding).
    3. Every class gets the same quota, the remainder goes to the largest, and what a class cannot
       fill to those with room.
    4. In each class, greedy k-centre among the most uncertain, four a label: on last-layer
       gradients, anchored at the class's labelled samples with their true labels.

    The released code balances classes by drawing samples again; the mean over classes of the mean
    prediction, which is used here, is what that gives on average. As there, gradients use the
    global embedding and the probabilities of the global model if gamma < 0.5, else of the local.

    Needs: the global and the local-only model, and the server for one number a client. Cost: one
    training per client and cycle, two passes over pool and labelled samples, k-centre on a few
    times ``budget`` candidates; memory linear in the pool. Fails where few labelled samples make
    poor prototypes: quotas are then spread over wrong classes.
    """

    name: ClassVar[str] = "fairfal"
    version: ClassVar[int | None] = 2
    family: ClassVar[str] = "hybrid"
    paper: ClassVar[str] = "FairFAL, Zong & Huang, CVPR 2026"
    Params: ClassVar[type[Params]] = FairFALParams

    def select_all(self, federation: FederationView) -> Sequence[Selection]:
        """Agree on the balance in the first query; then each client selects."""
        if "balance" not in federation.memory:
            balances = federation.gather(lambda client: np.array([global_balance(client)]))
            agreed = federation.broadcast(np.mean(balances, axis=0))
            federation.memory["balance"] = float(agreed[0])
        gamma: float = federation.memory["balance"]
        return federation.each(lambda client, budget: self._select(client, budget, gamma))

    def _select(self, client: ClientView, budget: int, gamma: float) -> IntArray:
        pseudo = pseudo_labels(client)
        quotas = class_quotas(pseudo, client.n_classes, budget)
        uncertainty = entropy(client.probs(self._uncertain_model(client, gamma)))
        pool, labelled = _gradients(client, gamma)
        chosen = []
        for label in np.flatnonzero(quotas):
            members = np.flatnonzero(pseudo == label)
            candidates = members[
                largest(uncertainty[members], self.params.oversampling * quotas[label])
            ]
            anchors = labelled.take(np.flatnonzero(client.labels == label))
            spread = k_centre_greedy(pool.take(candidates), quotas[label], anchors)
            chosen.append(candidates[spread])
        return np.concatenate(chosen)

    def _uncertain_model(self, client: ClientView, gamma: float) -> Model:
        """Return the model that tells what is uncertain."""
        ours, _ = mean_prediction(client, client.global_model)
        own, _ = mean_prediction(client, client.local_model)
        fair = 1 - (relative_difference(ours, own) + gamma) / 2
        return client.global_model if fair > self.params.threshold else client.local_model


def mean_prediction(client: ClientView, model: Model) -> tuple[RealArray, IntArray]:
    """Return a model's mean prediction on the labelled samples, all classes weighted alike.

    Returns:
        The mean probabilities, shape (n_classes,), and the classes that have labels.
    """
    classes, means = class_means(client.probs(model, client.labelled), client.labels)
    return means.mean(axis=0), classes


def global_balance(client: ClientView) -> float:
    """Return the smallest over the largest mean probability of the classes that have labels."""
    prediction, classes = mean_prediction(client, client.global_model)
    present = prediction[classes]
    return float(present.min() / present.max()) if present.max() > 0 else 1.0


def relative_difference(left: RealArray, right: RealArray) -> float:
    """Return the mean of |left - right| / (left + right), 0 where both are 0."""
    sums = left + right
    shares = np.divide(np.abs(left - right), sums, out=np.zeros_like(sums), where=sums > 0)
    return float(shares.mean())


def pseudo_labels(client: ClientView) -> IntArray:
    """Return the class of each unlabelled sample's nearest prototype, by cosine, shape (n,)."""
    model = client.global_model
    labelled = normalised(client.embeddings(model, client.labelled))
    classes, prototypes = class_means(labelled, client.labels)
    similarity = normalised(client.embeddings(model)) @ normalised(prototypes).T
    nearest: IntArray = classes[similarity.argmax(axis=1)]
    return nearest


def class_quotas(pseudo: IntArray, n_classes: int, budget: int) -> IntArray:
    """Split a budget evenly over the classes, as far as they have samples.

    The remainder of an even split goes to the largest classes, one each. What a class cannot fill
    goes round the classes that can, the largest first, one at a time.

    Args:
        pseudo: the class of each sample, shape (n,).
        n_classes: number of classes.
        budget: at most n.

    Returns:
        Shape (n_classes,); the sum is ``budget``.
    """
    sizes = np.bincount(pseudo, minlength=n_classes)
    by_size = np.argsort(-sizes, kind="stable")
    quotas: IntArray = np.full(n_classes, budget // n_classes)
    quotas[by_size[: budget % n_classes]] += 1
    quotas = np.minimum(quotas, sizes)
    while (missing := budget - quotas.sum()) > 0:
        with_room = by_size[quotas[by_size] < sizes[by_size]]
        quotas[with_room[:missing]] += 1
    return quotas


def _gradients(client: ClientView, gamma: float) -> tuple[OuterProducts, OuterProducts]:
    """Return the gradients of unlabelled (predicted class) and labelled samples (true class)."""
    embedding, ids = client.global_model, client.labelled
    model = client.global_model if gamma < IMBALANCED else client.local_model
    return (
        last_layer_gradients(client.embeddings(embedding), client.probs(model)),
        last_layer_gradients(
            client.embeddings(embedding, ids), client.probs(model, ids), client.labels
        ),
    )
