"""The strategy contract: what a plugin implements, and what it is shown.

The smallest plugin is one class with a ``name`` and a ``select``::

    class Margin(Strategy):
        name = "my-margin"

        def select(self, client, budget):
            probs = client.probs(client.global_model)
            return smallest(top_two_margin(probs), budget)
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.params import Params as Params
from fal_bench.inputs.params import explain
from fal_bench.plugins.needs import LocalTraining, Need

if TYPE_CHECKING:
    from fal_bench.learning.model import Model
    from fal_bench.task import Task


@dataclass(frozen=True)
class Train:
    """A training that ``select`` asks for: ``model = yield Train(...)``.

    The client's model is trained on all labelled samples of that client.

    Attributes:
        training: how to train.
        start: the model to start from; ``None`` means a fresh initialisation.
    """

    training: LocalTraining
    start: Model | None = None


Selection = IntArray | Generator[Train, "Model", IntArray]
"""Positions in ``client.unlabelled``, or a generator that asks for trainings and returns them."""


class ClientView(Protocol):
    """What one client may know in one cycle."""

    @property
    def index(self) -> int:
        """The client's number, from 0."""

    @property
    def cycle(self) -> int:
        """The cycle's number, from 0."""

    @property
    def n_classes(self) -> int:
        """Number of classes of the task."""

    @property
    def unlabelled(self) -> IntArray:
        """Sorted ids of the query pool's samples that are not labelled yet, shape (n,)."""

    @property
    def labelled(self) -> IntArray:
        """Sorted ids of the samples that local training uses, shape (m,)."""

    @property
    def labels(self) -> IntArray:
        """Labels of ``labelled``, in the same order, shape (m,)."""

    @property
    def global_model(self) -> Model:
        """The federation's model after this cycle's training."""

    @property
    def previous_model(self) -> Model:
        """This client's weights after its last local training, before they were aggregated."""

    @property
    def local_model(self) -> Model:
        """The model trained on this client's labels only; declare ``LocalModel`` in ``needs``."""

    @property
    def distilled_model(self) -> Model:
        """The client's model taught by the global one; declare ``DistilledModel`` in ``needs``."""

    @property
    def epoch_predictions(self) -> IntArray:
        """Predicted class of ``unlabelled`` after each local epoch of the last round.

        Shape (local epochs, n); declare ``EpochPredictions`` in ``needs``.
        """

    @property
    def snapshots(self) -> tuple[Model, ...]:
        """The global model after some rounds, in order; declare ``RoundSnapshots`` in ``needs``."""

    @property
    def rng(self) -> np.random.Generator:
        """The strategy's own random stream for this client and cycle."""

    @property
    def memory(self) -> dict[str, Any]:
        """State of this client that survives cycles and resumes: JSON values and arrays only."""

    def probs(self, model: Model, ids: IntArray | None = None) -> FloatArray:
        """Return softmax outputs, shape (n, n_classes), of ``unlabelled`` or of ``ids``."""

    def logits(self, model: Model, ids: IntArray | None = None) -> FloatArray:
        """Return logits, shape (n, n_classes), of ``unlabelled`` or of ``ids``."""

    def embeddings(self, model: Model, ids: IntArray | None = None) -> FloatArray:
        """Return the head's inputs, shape (n, d), of ``unlabelled`` or of ``ids``."""

    def inputs(self, ids: IntArray | None = None) -> FloatArray:
        """Return the samples themselves, shape (n, C, H, W), of ``unlabelled`` or of ``ids``."""

    def share(self, name: str) -> IntArray:
        """Return the sorted ids of one of the client's shares: state, warm_start or agent."""

    def buy(self, ids: IntArray, purpose: str) -> IntArray:
        """Buy labels for anything but the query; they are charged as strict labels.

        Args:
            ids: ids of this client's samples, outside the state share.
            purpose: one of ``warm-start``, ``agent-training``, ``reward``, ``validation``.

        Returns:
            The labels, in the order of ``ids``.
        """

    def ask_again(self, ids: IntArray) -> IntArray:
        """Ask one more annotator about each of some samples whose labels are bought already.

        A vote costs one label of the client's budget: ``select`` returns that many positions less.
        The label of a sample is what most of its votes say; among equally many, what was said
        first. ``labels`` stays as it is until the next cycle.

        Args:
            ids: ids in ``labelled``; one that stands there twice is asked about twice.

        Returns:
            What was said, in the order of ``ids``.
        """

    @property
    def votes(self) -> tuple[IntArray, ...]:
        """All votes on each sample of ``labelled`` so far, in the order in which they came."""

    @property
    def askable(self) -> IntArray:
        """Sorted ids of the labelled samples that a further vote can be bought of.

        These are all, unless the annotators are raters: then there are only so many for each.
        """

    def hindsight(self) -> IntArray:
        """Return the labels of ``unlabelled``; for references alone (``Strategy.reference``).

        They are what an annotator would say: the true ones, unless the task's annotators err. They
        are not charged, because a reference is never ranked.
        """


class TargetView(Protocol):
    """What the server knows of the domain that the model is for: inputs without labels."""

    @property
    def global_model(self) -> Model:
        """The federation's model after this cycle's training."""

    def inputs(self) -> FloatArray:
        """Return the samples, shape (n, C, H, W)."""

    def probs(self, model: Model) -> FloatArray:
        """Return softmax outputs, shape (n, n_classes)."""

    def logits(self, model: Model) -> FloatArray:
        """Return logits, shape (n, n_classes)."""

    def embeddings(self, model: Model) -> FloatArray:
        """Return the head's inputs, shape (n, d)."""


class FederationView(Protocol):
    """What a coordinated strategy may do over all clients; every message is counted.

    In a simulation one ``select_all`` plays server and clients. In a real federation the server and
    every client run it, each for itself: functions given to ``gather`` and ``each`` run at clients
    alone, ``gather`` returns the client's own array in everybody's place there, and ``broadcast``
    returns what the server sent, whatever is given to it. So what comes next may follow from
    ``budgets``, ``limits``, parameters and what ``broadcast`` returned, and from nothing else.
    Objects that a client makes live as long as the query, in the ``select_all`` of that client.
    ``memory`` belongs to the participant that runs it. ``falbench check`` holds a strategy to this
    ("deployable").
    """

    @property
    def clients(self) -> int:
        """Number of clients."""

    @property
    def cycle(self) -> int:
        """The cycle's number, from 0."""

    @property
    def budgets(self) -> tuple[int, ...]:
        """Labels each client buys now, unless the server allots them otherwise.

        The server knows them, because it hands them out.
        """

    @property
    def limits(self) -> tuple[int, ...]:
        """Labels each client may buy now at most.

        They are the ``budgets`` unless the task lets the server allot labels
        (``allotment = { kind = "server" }``).
        """

    @property
    def total_budget(self) -> int:
        """Labels that all clients buy now together."""

    @property
    def rng(self) -> np.random.Generator:
        """The server's own random stream for this cycle."""

    @property
    def memory(self) -> dict[str, Any]:
        """State of the server that survives cycles and resumes: JSON values and arrays only."""

    @property
    def target(self) -> TargetView:
        """The domain that the model is for; declare ``TargetDomain`` in ``needs``."""

    def each(
        self,
        compute: Callable[[ClientView, int], Selection],
        budgets: Sequence[int] | None = None,
    ) -> list[Selection]:
        """Run ``compute(client, budget)`` at every client; what it returns is its selection.

        Args:
            compute: selects; not called for a client that may buy nothing.
            budgets: what the server allots to each client, within ``limits`` and together
                ``total_budget``; ``self.budgets`` if None. They are sent, counted as download.
        """

    def gather(self, compute: Callable[[ClientView], NDArray[Any]]) -> list[NDArray[Any]]:
        """Run ``compute`` at every client and send its array to the server, counted as upload."""

    def broadcast(self, message: NDArray[Any]) -> NDArray[Any]:
        """Send an array from the server to every client, counted as download."""


class Strategy:
    """Base class of all strategies.

    Subclasses set ``name`` and override ``select`` (or ``select_all``). A class documents the
    paper, the inputs it uses, its cost and where it fails.

    Attributes:
        name: the name used on the command line and in results.
        version: raised whenever the selections change; part of the run key, so that stored
            results of the old behaviour are not reused. ``None`` (external plugins) means that
            the hash of the source takes its place.
        family: the kind of method, one of a few words, for tables.
        paper: where it was published, in a few words, for tables.
        keeps: names of ``client.memory`` entries that are kept beside a finished curve.
        adaptive: whether ``select`` may return fewer positions than its budget; what is left
            is granted to the client, or to the federation, in later cycles.
        reference: whether this is no strategy but a yardstick that may see true labels
            (``ClientView.hindsight``); it is shown apart from the others and never ranked.
        trainer: the trainer that the method was published with, as a selector. The command line
            overrides it: ``-s "NAME[trainer=cross-entropy]"``.
        deterministic: whether the selected samples follow from the client's data and models
            alone, so that neither the random stream nor the order of the pool matters (ties
            apart). ``falbench check`` holds a strategy to it.
        Params: the class of the parameters.

    Args:
        params: values by name, as given on the command line.

    Raises:
        InvalidSpecError: a parameter is unknown or has a value it cannot take.
    """

    name: ClassVar[str]
    version: ClassVar[int | None] = None
    family: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    keeps: ClassVar[tuple[str, ...]] = ()
    adaptive: ClassVar[bool] = False
    reference: ClassVar[bool] = False
    trainer: ClassVar[str] = "cross-entropy"
    deterministic: ClassVar[bool] = False
    Params: ClassVar[type[Params]] = Params

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        try:
            self.params: Any = self.Params.model_validate(params or {})
        except ValidationError as error:
            raise InvalidSpecError(explain("Strategy", self.name, self.Params, error)) from None

    @property
    def identity(self) -> dict[str, str]:
        """What decides the selections besides name, version and parameters.

        It becomes part of the run key: the digest of a file that a parameter names, say.
        """
        return {}

    def check_task(self, task: Task) -> None:
        """Check, before anything runs, that the strategy can work on a task.

        Raises:
            InvalidSpecError: it cannot; the sentence says what the task lacks.
        """

    def check_shares(self, task: Task, sizes: Mapping[str, int]) -> None:
        """Check, before anything runs, that data and model are large and small enough.

        Args:
            task: the task.
            sizes: samples in the shares ``state``, ``warm_start``, ``agent`` and ``pool`` of the
                client that has fewest of them; ``classes`` of the data; and the width of the
                model's ``embedding``, which a real federation leaves out.

        Raises:
            InvalidSpecError: they do not; the sentence says what to change.
        """

    @property
    def needs(self) -> frozenset[Need]:
        """Costly inputs that the harness prepares; a plain class attribute may replace this."""
        return frozenset()

    def select(self, client: ClientView, budget: int) -> Selection:
        """Choose the samples that one client has annotated in this cycle.

        Args:
            client: what the client may know.
            budget: labels the client may buy now; at least 1 and at most ``len(unlabelled)``.

        Returns:
            Positions in ``client.unlabelled``: exactly ``budget`` distinct ones, or at most that
            many if ``adaptive``; less one for each vote bought by ``client.ask_again``.
        """
        raise NotImplementedError(f"{type(self).__name__} must override select or select_all")

    def select_all(self, federation: FederationView) -> Sequence[Selection]:
        """Choose for all clients at once; the default calls ``select`` client by client."""
        return federation.each(self.select)
