"""What a strategy sees while a run runs: one client, or the federation through messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.data.shares import ClientShares
from fal_bench.errors import (
    AllotmentError,
    CoordinationError,
    DivergedError,
    LabelAccessError,
    PluginError,
    UndeclaredNeedError,
)
from fal_bench.federation.ledger import STRATEGY_PURPOSES, Ledger
from fal_bench.federation.models import ClientModels
from fal_bench.learning.inference import Outputs, frozen, predict
from fal_bench.learning.model import Model
from fal_bench.plugins.strategy import ClientView, Selection
from fal_bench.plugins.trainer import Trainer

Input = TypeVar("Input")

COUNT_BYTES: Final = 8
"""Bytes of a number of labels that the server sends to a client."""


class LiveClientView:
    """The client view of a running run; see ``fal_bench.plugins.strategy.ClientView``.

    Predictions of one model on the query pool are computed once and shared by all who ask.

    Args:
        index: the client's number.
        cycle: the cycle's number.
        shares: the client's shares.
        ledger: the run's ledger; the view keeps only narrow functions of it.
        features: all training samples, shape (N, C, H, W).
        models: the models it may use.
        trainer: says how outputs become probabilities.
        rng: the strategy's stream for this client and cycle.
        memory: the client's memory.
        limit: further votes that it may buy now.
        reference: whether the strategy is a yardstick that may see true labels.
    """

    def __init__(
        self,
        *,
        index: int,
        cycle: int,
        shares: ClientShares,
        ledger: Ledger,
        features: torch.Tensor,
        models: ClientModels,
        trainer: Trainer,
        rng: np.random.Generator,
        memory: dict[str, Any],
        limit: int = 0,
        reference: bool = False,
    ) -> None:
        self.index = index
        self.cycle = cycle
        self.n_classes = models.global_model.architecture.n_classes
        self.unlabelled: IntArray = _frozen(ledger.unlabelled(index))
        self.labelled: IntArray = _frozen(ledger.labelled(index))
        self.labels: IntArray = _frozen(ledger.labels(index, self.labelled))
        self.global_model = models.global_model
        self.previous_model = models.previous
        self.rng = rng
        self.memory = memory
        self._models = models
        self._trainer = trainer
        self._shares = shares
        self._own = set(
            np.concatenate([shares.state, shares.warm_start, shares.agent, shares.pool]).tolist()
        )

        def buy(ids: IntArray, purpose: str) -> IntArray:
            return ledger.buy(index, ids, purpose, cycle)

        def ask_again(ids: IntArray) -> IntArray:
            bought = ledger.asked(index, cycle)
            if bought + len(ids) > limit:
                raise PluginError(
                    f"Client {index} asks for {bought + len(ids)} further votes in cycle {cycle}, "
                    f"and may buy {limit} labels; ask about fewer samples."
                )
            return ledger.ask_again(index, ids, cycle)

        def votes() -> tuple[IntArray, ...]:
            return tuple(np.array(ledger.votes(sample)) for sample in self.labelled.tolist())

        def askable() -> IntArray:
            return ledger.askable(index)

        self._buy = buy
        self._ask_again = ask_again
        self._votes = votes
        self._askable = askable
        self._hindsight: Callable[[], IntArray] | None = None
        if reference:
            self._hindsight = lambda: ledger.hindsight(index, self.unlabelled)
        self._features = features
        self._cache: list[tuple[Model, Outputs]] = []

    @property
    def local_model(self) -> Model:
        """The local-only model.

        Raises:
            UndeclaredNeedError: the strategy does not declare it.
        """
        return _declared(self._models.local, "local_model", "LocalModel")

    @property
    def distilled_model(self) -> Model:
        """The distilled model.

        Raises:
            UndeclaredNeedError: the strategy does not declare it.
        """
        return _declared(self._models.distilled, "distilled_model", "DistilledModel")

    @property
    def epoch_predictions(self) -> IntArray:
        """Predicted class of ``unlabelled`` after each local epoch, shape (local epochs, n).

        Raises:
            UndeclaredNeedError: the strategy does not declare them.
        """
        models = _declared(self._models.epochs or None, "epoch_predictions", "EpochPredictions")
        return np.stack([self.logits(model).argmax(axis=1) for model in models])

    @property
    def snapshots(self) -> tuple[Model, ...]:
        """The global model after some rounds, in order.

        Raises:
            UndeclaredNeedError: the strategy does not declare them.
        """
        return _declared(self._models.snapshots or None, "snapshots", "RoundSnapshots")

    def probs(self, model: Model, ids: IntArray | None = None) -> FloatArray:
        """Return softmax outputs, shape (n, n_classes)."""
        return frozen(self._trainer.probs(self._predict(model, ids).logits))

    def logits(self, model: Model, ids: IntArray | None = None) -> FloatArray:
        """Return logits, shape (n, n_classes)."""
        return self._predict(model, ids).logits

    def embeddings(self, model: Model, ids: IntArray | None = None) -> FloatArray:
        """Return the head's inputs, shape (n, d)."""
        return self._predict(model, ids).embeddings

    def inputs(self, ids: IntArray | None = None) -> FloatArray:
        """Return the samples themselves, shape (n, C, H, W)."""
        chosen = self.unlabelled if ids is None else self._checked(ids)
        samples: FloatArray = self._samples(chosen).numpy(force=True)
        return samples

    def share(self, name: str) -> IntArray:
        """Return the sorted ids of the share ``state``, ``warm_start`` or ``agent``."""
        if name not in ("state", "warm_start", "agent"):
            raise PluginError(f"Unknown share {name!r}; use state, warm_start or agent.")
        ids: IntArray = getattr(self._shares, name)
        return _frozen(ids.copy())

    def buy(self, ids: IntArray, purpose: str) -> IntArray:
        """Buy labels for ``purpose``; see ``fal_bench.plugins.strategy.ClientView.buy``."""
        if purpose not in STRATEGY_PURPOSES:
            raise LabelAccessError(
                f"Cannot buy labels for {purpose!r}; use one of: {', '.join(STRATEGY_PURPOSES)} "
                "(labels of the query are bought by returning its positions)."
            )
        return self._buy(ids, purpose)

    def ask_again(self, ids: IntArray) -> IntArray:
        """Buy further votes; see ``fal_bench.plugins.strategy.ClientView.ask_again``."""
        wanted = np.asarray(ids)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise PluginError(
                f"ask_again takes ids of samples as a 1-D integer array, not {wanted.ndim}-D "
                f"{wanted.dtype}."
            )
        return self._ask_again(wanted)

    @property
    def votes(self) -> tuple[IntArray, ...]:
        """All votes on each sample of ``labelled`` so far, in the order in which they came."""
        return self._votes()

    @property
    def askable(self) -> IntArray:
        """Sorted ids of the labelled samples that a further vote can be bought of."""
        return self._askable()

    def hindsight(self) -> IntArray:
        """Return the labels of ``unlabelled``, as an annotator would say them.

        Raises:
            LabelAccessError: the strategy is no reference.
        """
        if self._hindsight is None:
            raise LabelAccessError(
                "hindsight() is for references alone, which are never ranked; declare "
                "reference = True or buy the labels."
            )
        return self._hindsight()

    def _predict(self, model: Model, ids: IntArray | None) -> Outputs:
        if ids is not None:
            return self._finite(predict(model, self._samples(self._checked(ids))))
        for known, outputs in self._cache:
            if known is model:
                return outputs
        outputs = self._finite(predict(model, self._samples(self.unlabelled)))
        self._cache.append((model, outputs))
        return outputs

    def _finite(self, outputs: Outputs) -> Outputs:
        if not np.isfinite(outputs.logits).all():
            raise DivergedError(
                f"The training of a model of client {self.index} diverged: its outputs are not "
                "finite; lower the learning rate of the task, or the strategy's own."
            )
        return outputs

    def _checked(self, ids: IntArray) -> IntArray:
        foreign = set(np.asarray(ids).tolist()) - self._own
        if foreign:
            raise PluginError(
                f"Sample {min(foreign)} is not client {self.index}'s; a client can only look at "
                "its own samples."
            )
        return ids

    def _samples(self, ids: IntArray) -> torch.Tensor:
        # A copy, because torch refuses to wrap the view's read-only arrays.
        return self._features[torch.from_numpy(np.array(ids, dtype=np.int64))]


class LiveTargetView:
    """The server's view of a target domain; see ``fal_bench.plugins.strategy.TargetView``.

    Args:
        features: the samples, shape (n, C, H, W).
        global_model: the federation's model.
        trainer: says how outputs become probabilities.
    """

    def __init__(self, features: torch.Tensor, global_model: Model, trainer: Trainer) -> None:
        self.global_model = global_model
        self._features = features
        self._trainer = trainer

    def inputs(self) -> FloatArray:
        """Return the samples, shape (n, C, H, W)."""
        samples: FloatArray = self._features.numpy(force=True)
        return frozen(samples.copy())

    def probs(self, model: Model) -> FloatArray:
        """Return softmax outputs, shape (n, n_classes)."""
        return frozen(self._trainer.probs(self.logits(model)))

    def logits(self, model: Model) -> FloatArray:
        """Return logits, shape (n, n_classes)."""
        return predict(model, self._features).logits

    def embeddings(self, model: Model) -> FloatArray:
        """Return the head's inputs, shape (n, d)."""
        return predict(model, self._features).embeddings

    def blank(self) -> LiveTargetView:
        """Return a view of as many samples that are zero: what a participant without them has."""
        return LiveTargetView(torch.zeros_like(self._features), self.global_model, self._trainer)


class LiveFederationView:
    """The federation view of a running run; see ``fal_bench.plugins.strategy.FederationView``.

    Args:
        views: the clients' views.
        budgets: labels each client buys now unless the server says otherwise.
        rng: the server's stream for this cycle.
        memory: the server's memory.
        beat: called before every client's turn, so that time limits hold per client.
        limits: labels each client may buy at most; the budgets if None.
        target: the domain that the model is for, if the strategy declares it.
    """

    def __init__(
        self,
        views: Sequence[ClientView],
        budgets: Sequence[int],
        rng: np.random.Generator,
        memory: dict[str, Any],
        beat: Callable[[], None],
        limits: Sequence[int] | None = None,
        target: LiveTargetView | None = None,
    ) -> None:
        self._target = target
        self.clients = len(views)
        self.cycle = views[0].cycle
        self.budgets = tuple(budgets)
        self.limits = self.budgets if limits is None else tuple(limits)
        self.total_budget = sum(self.budgets)
        self.rng = rng
        self.memory = memory
        self.bytes_up = 0
        self.bytes_down = 0
        self._beat = beat
        self._views = tuple(views)

    @property
    def target(self) -> LiveTargetView:
        """The domain that the model is for.

        Raises:
            UndeclaredNeedError: the strategy does not declare it.
        """
        return _declared(self._target, "target", "TargetDomain")

    def each(
        self,
        compute: Callable[[ClientView, int], Selection],
        budgets: Sequence[int] | None = None,
    ) -> list[Selection]:
        """Run ``compute(client, budget)`` at every client; one that may buy nothing is skipped.

        Raises:
            AllotmentError: the budgets break a limit, or are more than all may buy together.
        """
        handed = self.budgets
        if budgets is not None:
            handed = allotted(budgets, self.limits, self.total_budget)
            self.bytes_down += COUNT_BYTES * self.clients
        selections: list[Selection] = []
        for view, budget in zip(self._views, handed, strict=True):
            self._beat()
            try:
                nothing = np.empty(0, dtype=np.int64)
                selections.append(compute(view, budget) if budget else nothing)
            except BaseException as error:
                error.add_note(f"client {view.index}")
                raise
        return selections

    def gather(self, compute: Callable[[ClientView], NDArray[Any]]) -> list[NDArray[Any]]:
        """Run ``compute`` at every client and send the arrays to the server, counted."""
        messages = []
        for view in self._views:
            self._beat()
            messages.append(as_message(compute(view)))
        self.bytes_up += sum(message.nbytes for message in messages)
        return messages

    def broadcast(self, message: NDArray[Any]) -> NDArray[Any]:
        """Send an array to every client, counted once per client."""
        sent = as_message(message)
        self.bytes_down += sent.nbytes * self.clients
        return sent


def _declared(value: Input | None, name: str, need: str) -> Input:
    """Return a costly input, or say that it has to be declared."""
    if value is None:
        raise UndeclaredNeedError(
            f"{name} is not declared; add needs = frozenset({{{need}()}}) to the strategy."
        )
    return value


def allotted(budgets: Sequence[int], limits: Sequence[int], total: int) -> tuple[int, ...]:
    """Return budgets of the server as integers, or say how they break the rules.

    Args:
        budgets: labels each client may buy, as the server hands them out.
        limits: labels each client may buy at most.
        total: labels that all may buy together.

    Raises:
        AllotmentError: they break a limit, or are more than all may buy together.
    """
    given = np.asarray(budgets)
    if given.shape != (len(limits),) or given.dtype.kind not in "iu":
        raise AllotmentError(
            f"The budgets given to each are of shape {given.shape} and type {given.dtype}; "
            f"give one integer for each of the {len(limits)} clients."
        )
    most = np.array(limits)
    if (wrong := np.flatnonzero((given < 0) | (given > most))).size:
        client = wrong[0]
        raise AllotmentError(
            f"The budget of client {client} is {given[client]}; federation.limits allows 0 to "
            f"{most[client]}."
        )
    if given.sum() > total:
        raise AllotmentError(
            f"The budgets add up to {given.sum()}, and federation.total_budget is {total}."
        )
    return tuple(given.tolist())


def as_message(content: Any) -> NDArray[Any]:
    """Return a copy of what is sent, or refuse what has no countable bytes.

    Raises:
        CoordinationError: it is no array of numbers or text.
    """
    try:
        message = np.array(content)
    except ValueError:  # ragged lists
        message = np.empty((), dtype=object)
    if message.dtype.hasobject:
        raise CoordinationError(
            f"A message must be a NumPy array, whose bytes are counted, not a "
            f"{type(content).__name__}."
        )
    return message


def _frozen(ids: IntArray) -> IntArray:
    ids.setflags(write=False)
    return ids
