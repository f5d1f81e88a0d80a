"""Federated clusters of uncertain mass: typical first, uncertain later, without a switch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from fal_bench.acquisition.scores import top_two_margin
from fal_bench.arrays import IntArray, RealArray
from fal_bench.plugins.strategy import ClientView, Params
from fal_bench.strategies._federated_clusters import ClusteredClient, FederatedClusters

LEAST_WEIGHT: Final = 1e-6
"""Weight of a sample that the model is sure of, before ``gamma``: no cluster is without mass."""


class FedMassParams(Params):
    """Parameters of ``fed-mass``.

    Attributes:
        gamma: exponent of the uncertainty; with 0 all samples weigh the same.
        order: ``"fewest"`` serves the clusters with the fewest labels first, those with most
            uncertain mass before others; ``"mass"`` serves the cluster with most mass a label,
            labels to buy included.
        iterations: steps of federated k-means.
        max_clusters: most clusters.
    """

    gamma: Annotated[float, Field(ge=0, le=5)] = 2.0
    order: Literal["fewest", "mass"] = "fewest"
    iterations: Annotated[int, Field(ge=0)] = 10
    max_clusters: Annotated[int, Field(ge=1)] = 500


class FedMass(FederatedClusters):
    """Clusters of the whole federation in which samples weigh what the model does not know.

    falbench's own. The samples of all clients are clustered together as in ``fed-typiclust``, but
    an unlabelled sample weighs (1 - margin)^gamma, in the centres and in the mass of its cluster;
    a labelled one weighs 1. There are as many clusters as there will be labels. Those with the
    fewest labels are served first, those of most mass before others, each by the client that has
    budget left and a sample closest to the centre. While the model is sure of nothing, this is
    TypiClust over the federation; once it is sure of most samples, clusters gather where it is not.

    Uncertainty-weighted clustering in a model's embedding, and the sample nearest to each centre,
    are those of CLUE (Prabhu et al., "Active Domain Adaptation via Clustering Uncertainty-weighted
    Embeddings", ICCV 2021), which weighs by entropy at one place. New here: sums and counts in
    place of samples, labels as members of clusters, and margins with an exponent.

    Needs: the global model's embeddings and probabilities, and the server. Cost: as
    ``fed-typiclust``, in time, messages and memory. Fails where the model is sure and wrong: what
    it does not doubt has no weight.
    """

    name: ClassVar[str] = "fed-mass"
    version: ClassVar[int | None] = 1
    family: ClassVar[str] = "coordinated"
    paper: ClassVar[str] = "falbench, after CLUE, Prabhu et al., ICCV 2021"
    Params: ClassVar[type[Params]] = FedMassParams

    def _at(self, client: ClientView, budget: int) -> ClusteredClient:
        state = ClusteredClient(client, budget)
        margins = top_two_margin(client.probs(client.global_model)).astype(np.float64)
        uncertain = np.maximum(1 - margins, LEAST_WEIGHT) ** self.params.gamma
        state.weights = np.concatenate([uncertain, np.ones(len(client.labelled))])
        return state

    def _rank(self, sizes: RealArray, labelled: IntArray) -> RealArray:
        """The fewest labels, or the least mass a label."""
        if self.params.order == "fewest":
            return labelled.astype(np.float64)
        rank: RealArray = -sizes / (labelled + 1)
        return rank
