"""Any pool-based query strategy of scikit-activeml, run at every client."""

from __future__ import annotations

import inspect
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.needs import (
    LOCAL_TRAINING,
    LOCAL_TRAINING_VERSION,
    LocalModel,
    Need,
)
from fal_bench.plugins.strategy import ClientView, Params, Strategy

if TYPE_CHECKING:
    from fal_bench.learning.model import Model
    from fal_bench.task import Task

CLASSIFIERS = ("clf", "estimator")
"""What scikit-activeml calls the classifier that a query strategy asks."""

CLUSTERING = "cluster_algo_dict"
"""What it calls the arguments of a method's clustering, which is scikit-learn's k-means."""

UNSUITED_ARGUMENTS = {
    "ensemble": "a committee of models",
    "discriminator": "a discriminator of its own",
    "reg": "a regressor",
}
UNSUITED = {
    "CostEmbeddingAL": "NumPy's global random stream",
    "EpistemicUncertaintySampling": "a Parzen window or logistic regression classifier",
    "FourDs": "a mixture model as classifier",
    "MonteCarloEER": "to retrain the classifier for every candidate",
    "ParallelUtilityEstimationWrapper": "another query strategy inside",
    "SubSamplingWrapper": "another query strategy inside",
    "ValueOfInformationEER": "to retrain the classifier for every candidate",
}


class SkactivemlParams(Params):
    """Parameters of ``skactiveml``.

    Attributes:
        query: name of a class in ``skactiveml.pool``.
        options: arguments of that class.
        model: whose embeddings and head the query strategy sees: the federation's, or each
            client's local-only model.
    """

    query: str = "UncertaintySampling"
    options: dict[str, Any] = Field(default_factory=dict)
    model: Literal["global", "local"] = "global"


class Skactiveml(Strategy):
    """A query strategy of scikit-activeml, as in ``skactiveml[query=Badge]``.

    Kottke et al., "scikit-activeml: A Library and Toolbox for Active Learning Algorithms", 2021.
    Every client asks a new object of the class ``query``. Its samples are the inputs of the
    model's head, labelled ones first, and its classifier is that head, so that a method which
    clusters or takes gradients works in the embedding, as for any deep network. Arguments go to
    ``options``: ``skactiveml[query=UncertaintySampling,options={"method":"entropy"}]``. The head is
    read as a softmax, whatever the trainer.

    Cost: one pass over the pool, and whatever the library does. Fails, with a sentence, for
    methods that need a committee, a discriminator or a regressor.
    """

    name: ClassVar[str] = "skactiveml"
    version: ClassVar[int | None] = 2
    family: ClassVar[str] = "adapter"
    paper: ClassVar[str] = "scikit-activeml, Kottke et al., 2021"
    Params: ClassVar[type[Params]] = SkactivemlParams

    @property
    def identity(self) -> dict[str, str]:
        """The library's version decides the selections, too, as do local models if it uses them."""
        local = {LOCAL_TRAINING: LOCAL_TRAINING_VERSION} if self.params.model == "local" else {}
        try:
            return {"scikit-activeml": version("scikit-activeml"), **local}
        except PackageNotFoundError:
            return local

    @property
    def needs(self) -> frozenset[Need]:
        """A local-only model, if that is asked for."""
        return frozenset({LocalModel()} if self.params.model == "local" else ())

    def check_task(self, task: Task) -> None:  # noqa: ARG002
        """Check that the library is there, and has such a query strategy."""
        query = _load(self.params.query)
        accepted = inspect.signature(query).parameters
        for option in self.params.options:
            if option not in accepted:
                raise InvalidSpecError(
                    f"{self.params.query} of scikit-activeml has no argument {option!r}; it takes: "
                    f"{', '.join(accepted)}."
                )
        asked = inspect.signature(query.query).parameters
        wants = [what for name, what in UNSUITED_ARGUMENTS.items() if name in asked]
        wants += [UNSUITED[self.params.query]] if self.params.query in UNSUITED else []
        if wants:
            raise InvalidSpecError(
                f"{self.params.query} of scikit-activeml needs {wants[0]}, which a client of a "
                "federation does not have; choose another query."
            )

    def select(self, client: ClientView, budget: int) -> IntArray:
        """Let the query strategy choose."""
        local = self.params.model == "local"
        model = client.local_model if local else client.global_model
        samples = np.concatenate(
            [client.embeddings(model, client.labelled), client.embeddings(model)]
        )
        labels = np.full(len(samples), np.nan)
        labels[: len(client.labels)] = client.labels
        seed = int(client.rng.integers(2**31))
        chosen = self._query(client.n_classes, seed).query(
            X=samples,
            y=labels,
            candidates=np.arange(len(client.labelled), len(samples)),
            batch_size=budget,
            **self._classifier(model, client.n_classes, samples, labels, seed),
        )
        return np.asarray(chosen, dtype=np.int64) - len(client.labelled)

    def _query(self, n_classes: int, seed: int) -> Any:
        query, options = _load(self.params.query), dict(self.params.options)
        own = {
            "random_state": seed,
            "classes": list(range(n_classes)),
            "n_classes": n_classes,
        }
        accepted = inspect.signature(query).parameters
        if CLUSTERING in accepted:  # not all hand their random state on to the clustering
            options[CLUSTERING] = {"random_state": seed, **options.get(CLUSTERING, {})}
        known = {name: value for name, value in own.items() if name in accepted}
        return query(**{**known, **options})

    def _classifier(
        self, model: Model, n_classes: int, samples: FloatArray, labels: FloatArray, seed: int
    ) -> dict[str, Any]:
        """Return the arguments that hand over the model's head, where one is asked for."""
        accepted = inspect.signature(_load(self.params.query).query).parameters
        given: dict[str, Any] = {}
        for name in CLASSIFIERS:
            if name in accepted:
                head = model.module().head
                weight, bias = head.weight.detach().numpy(), head.bias.detach().numpy()
                given = {name: _head(weight, bias, n_classes, seed).fit(samples, labels)}
                given[f"fit_{name}"] = False
        return given


def _load(name: str) -> Any:
    """Return a class of ``skactiveml.pool``.

    Raises:
        InvalidSpecError: the library is not installed, or has no such query strategy.
    """
    try:
        from skactiveml import pool
        from skactiveml.base import SingleAnnotatorPoolQueryStrategy
    except ImportError:
        raise InvalidSpecError(
            "Strategy 'skactiveml' needs scikit-activeml; pip install 'falbench[skactiveml]'."
        ) from None
    query = getattr(pool, name, None)
    if not (isinstance(query, type) and issubclass(query, SingleAnnotatorPoolQueryStrategy)):
        known = [
            key
            for key, value in vars(pool).items()
            if isinstance(value, type) and issubclass(value, SingleAnnotatorPoolQueryStrategy)
        ]
        raise InvalidSpecError(
            f"scikit-activeml has no pool-based query strategy {name!r}; it has: "
            f"{', '.join(sorted(known))}."
        )
    return query


def _head(weight: FloatArray, bias: FloatArray, n_classes: int, seed: int) -> Any:
    """Return a linear softmax classifier of embeddings as scikit-activeml wants classifiers.

    The library breaks ties of its predictions by ``seed``.
    """
    from skactiveml.base import SkactivemlClassifier

    class Head(SkactivemlClassifier):  # type: ignore[misc]
        """The model's head; it was trained in the federation."""

        def fit(self, X: FloatArray, y: FloatArray, sample_weight: Any = None) -> Head:  # noqa: N803
            """Check the samples as the library does; nothing is learned."""
            self._validate_data(X, y, sample_weight)
            return self

        def predict_proba(self, X: FloatArray) -> FloatArray:  # noqa: N803
            """Return softmax outputs, shape (n, n_classes)."""
            logits = np.asarray(X, dtype=np.float64) @ weight.T + bias
            shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
            probs: FloatArray = shifted / shifted.sum(axis=1, keepdims=True)
            return probs

    return Head(classes=list(range(n_classes)), random_state=seed)
