"""What every aggregation must satisfy: one function a check, in the order of the report."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Final

import torch

from fal_bench.conformance.subject import ClassSubject, Failure, once, owned_by, params
from fal_bench.conformance.worlds import WORLDS
from fal_bench.federation.models import copied
from fal_bench.federation.rounds import Coordinator, Memories, gradients_of, steps_of
from fal_bench.federation.setting import Setting
from fal_bench.federation.state import RunState
from fal_bench.learning.model import Model, Weights
from fal_bench.learning.request import Lane
from fal_bench.learning.stacked.engine import train_stacked
from fal_bench.plugins.aggregation import Aggregation, Server, Update
from fal_bench.plugins.built_in import AGGREGATION
from fal_bench.plugins.needs import LocalTraining

ALL: Final = ((0, 1, 2),) * 4
SOME: Final = ((0, 2), (1,), (0, 1, 2), (2,))
"""The clients of each round."""

Attendances = tuple[tuple[int, ...], ...]


class AggregationSubject(ClassSubject[Aggregation]):
    """One aggregation under check."""

    kind = AGGREGATION
    base = Aggregation

    @once
    def setting(self) -> Setting:
        """The federation that it serves."""
        return WORLDS[0].setting()

    @once
    def ordinary(self) -> list[Weights]:
        """The global models of rounds in which all clients take part."""
        with owned_by("declaration"):
            self.check_messages()
        with owned_by("rounds"):
            return self.rounds(ALL)

    def check_messages(self) -> None:
        """Check what the class says of its messages.

        Raises:
            Failure: it is no number of them.
        """
        messages = self.code.messages
        if not isinstance(messages, int) or messages < 1:
            raise Failure(f"messages is {messages!r}, not a whole number of at least 1.")

    def rounds(self, attendances: Attendances, *, resumed: bool = False) -> list[Weights]:
        """Train for some rounds and return the global model after each.

        Args:
            attendances: the clients of each round.
            resumed: whether each round begins with a new object, and memories from a file.

        Raises:
            Failure: the aggregation raised or hung, or returned no finite weights.
        """
        setting, found = self.setting, list[Weights]()
        model = setting.architecture.fresh(setting.streams.torch("check"))
        coordinator = self._coordinator(model)
        for number, clients in enumerate(attendances):
            where = f"round {number}, clients {', '.join(map(str, clients))}"
            if resumed and number:
                state = RunState(0, [], [], aggregation=coordinator.memories)
                read = RunState.from_arrays(state.to_arrays()).aggregation
                coordinator = self._coordinator(coordinator.model, read)
            self._round(coordinator, number, clients, where)
            found.append(coordinator.model.weights)
        return found

    def _round(
        self, coordinator: Coordinator, number: int, clients: tuple[int, ...], where: str
    ) -> None:
        lanes = [self._lane(coordinator, number, client, where) for client in clients]
        proximal = self.call(lambda: coordinator.proximal, "proximal", where)
        updates = self.updates(clients, lanes, proximal)
        self.call(lambda: coordinator.combine(updates), "combine", where)
        if not all(tensor.isfinite().all() for tensor in coordinator.model.weights.values()):
            raise Failure("The global model does not stay finite.", where)

    def updates(
        self, clients: tuple[int, ...], lanes: list[Lane], proximal: float = 0.0
    ) -> list[Update]:
        """Train some clients."""
        task, setting = self.setting.task, self.setting
        recipe = LocalTraining(
            task.local_epochs, task.batch_size, task.optimiser.lr, 0.0, 0.0, None, proximal=proximal
        )
        network = setting.architecture.network
        done = train_stacked(network, recipe, lanes, setting.dataset.n_classes)
        updates = []
        for client, lane, trained in zip(clients, lanes, done, strict=True):
            samples = len(lane.labels)
            steps = steps_of(samples, recipe)
            gradients = gradients_of(steps, recipe.lr, 0.0, proximal)
            updates.append(Update(client, samples, trained.weights, steps, gradients, recipe.lr))
        return updates

    def lane(self, start: Weights, number: int, client: int, correction: Weights | None) -> Lane:
        """Return the training of a client; the clients have unequal numbers of labels."""
        setting = self.setting
        ids = setting.initial[client][: -5 * client or None]
        data, rng = setting.dataset, setting.streams.numpy("check-batches", number, client)
        features, labels = data.train_features[ids], data.train_labels[ids]
        return Lane(start, features, labels, rng, round=number, correction=correction)

    def call_all(self) -> None:
        """Go through some rounds, to see what else it does."""
        _ = self.ordinary
        self.rounds(ALL)

    def _coordinator(self, model: Model, memories: Memories = ()) -> Coordinator:
        clients = self.setting.task.clients
        return Coordinator(self.make(), model, clients, nullcontext, memories)

    def _lane(self, coordinator: Coordinator, number: int, client: int, where: str) -> Lane:
        added = self.call(lambda: coordinator.correction(client), "correction", where)
        return self.lane(coordinator.model.weights, number, client, added)


check = AggregationSubject.check


@check
def declaration(subject: AggregationSubject) -> None:
    """Name, parameters and messages are what the harness expects.

    What to do: Give the class a name without spaces, commas or brackets, such as 'my-average', and
    messages that say how many times the model's size a client sends in a round.
    """
    subject.check_class("kind =")
    subject.check_messages()
    _ = subject.made


check(params)


@check
def rounds(subject: AggregationSubject) -> str:
    """A round leaves finite weights of the right names and shapes, and memories that can be kept.

    What to do: Return tensors by name, of the shapes that server.weights has; keep tensors by name
    under the keys of server.memory and server.own.
    """
    return f"{len(subject.ordinary)} rounds"


@check
def absence(subject: AggregationSubject) -> None:
    """Rounds in which some clients are missing work.

    What to do: Go by the updates that there are, and by their client; server.clients is the number
    of all clients.
    """
    _ = subject.ordinary
    subject.rounds(SOME)


@check
def global_random(subject: AggregationSubject) -> None:
    """Global random streams are neither read nor touched.

    What to do: Draw nothing, or from np.random.default_rng(0).
    """
    subject.check_random()


@check
def repeatable(subject: AggregationSubject) -> None:
    """The same rounds leave the same bits.

    What to do: Draw nothing of your own, and keep nothing between objects.
    """
    _ = subject.ordinary
    _compare(subject, subject.rounds(ALL), "The same rounds leave other weights the second time.")


@check
def settings(subject: AggregationSubject) -> None:
    """Settings of the process are left as they were.

    What to do: Change settings only inside a context that puts them back (np.errstate,
    torch.no_grad).
    """
    subject.check_settings()


@check
def memory(subject: AggregationSubject) -> None:
    """What is remembered from round to round is in the memories, so that runs can be resumed.

    What to do: Keep nothing in the object; put it into server.memory or, for one client,
    server.own[client].
    """
    _ = subject.ordinary
    subject.require(repeatable)
    again = subject.rounds(ALL, resumed=True)
    _compare(subject, again, "A new object that goes on with the memories leaves other weights.")


@check
def mutation(subject: AggregationSubject) -> None:
    """Weights that it is given are left as they were.

    What to do: Compute with new tensors (a + b); methods that end with an underscore change theirs.
    """
    _ = subject.ordinary
    setting, clients = subject.setting, (0, 1, 2)
    model = setting.architecture.fresh(setting.streams.torch("check"))
    names = tuple(model.weights)
    server = Server(copied(model.weights), names, len(clients), own=tuple({} for _ in clients))
    lanes = [subject.lane(model.weights, 0, client, None) for client in clients]
    updates = subject.updates(clients, lanes)
    shown = [server.weights, *(one.weights for one in updates)]
    before = [copied(weights) for weights in shown]
    aggregation = subject.made
    for client in clients:
        subject.call(lambda own=client: aggregation.correction(own, server), "correction")  # type: ignore[misc]
    subject.call(lambda: aggregation.combine(updates, server), "combine")
    for old, now in zip(before, shown, strict=True):
        if any(not torch.equal(old[name], now[name]) for name in old):
            what = "server.weights" if now is server.weights else "the weights of an update"
            raise Failure(f"It changed {what} in place.")


def _compare(subject: AggregationSubject, again: list[Weights], what: str) -> None:
    for number, (ours, theirs) in enumerate(zip(subject.ordinary, again, strict=True)):
        if any(not torch.equal(tensor, theirs[name]) for name, tensor in ours.items()):
            raise Failure(what, f"round {number}")
