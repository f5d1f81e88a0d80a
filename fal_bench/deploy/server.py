"""The server of a federation: train, measure, query, wait for people, and the next cycle."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fal_bench.data.apportionment import largest_remainder
from fal_bench.deploy.computing import loaded, numbers, strategy_selector, tensors, trainer_of
from fal_bench.deploy.config import Federation
from fal_bench.deploy.messages import ERROR, WAITING, DeploymentError, Link, Message, Verb, grouped
from fal_bench.deploy.participants import Sent, ServerView
from fal_bench.deploy.refusals import check_deployable
from fal_bench.deploy.stopping import Accuracy, reason_to_stop
from fal_bench.federation.attendance import Attendance
from fal_bench.federation.grants import Grants, initial_labels, weights_of
from fal_bench.federation.local import recipe_of, update_of
from fal_bench.federation.query import as_stored, strategy_rng
from fal_bench.federation.rounds import Coordinator, coordinator_of
from fal_bench.federation.selection import check_total
from fal_bench.federation.state import RunState
from fal_bench.inputs.files import read_bytes
from fal_bench.learning.model import Architecture
from fal_bench.plugins.registry import current_registry
from fal_bench.results.files import write_bytes
from fal_bench.streams import Streams

_COLUMNS: Final = (
    "task",
    "strategy",
    "seed",
    "cycle",
    "labels",
    "labels_strict",
    "bytes_up",
    "bytes_down",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
)


@dataclass
class Cycle:
    """What is known of one cycle.

    Attributes:
        cycle: its number.
        labels: labels that were trained on, all sites together.
        paid: labels that are to be paid, those of the evaluation included.
        bytes_up: bytes of models and gathered arrays that sites sent.
        bytes_down: bytes of models and arrays that they received.
        seconds: seconds of training and the query before it, without the wait for people.
        waited: seconds spent waiting for people.
        labels_by_site: labels that were trained on, by site.
        samples_by_site: samples that were trained on, by site; one may have several labels.
        accuracy: of all sites together; None if nothing was measured.
        accuracy_by_site: by site.
        stopped: why it was the last one; empty if it was not.
    """

    cycle: int
    labels: int = 0
    paid: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    labels_by_site: dict[str, int] = field(default_factory=dict)
    samples_by_site: dict[str, int] = field(default_factory=dict)
    accuracy: Accuracy | None = None
    accuracy_by_site: dict[str, Accuracy] = field(default_factory=dict)
    stopped: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        plain = dict(vars(self))
        plain["accuracy"] = self.accuracy and self.accuracy.as_json()
        plain["accuracy_by_site"] = {
            site: one.as_json() for site, one in self.accuracy_by_site.items()
        }
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Cycle:
        """Undo ``as_json``."""
        pooled = plain["accuracy"]
        by_site = plain["accuracy_by_site"]
        return cls(
            **{
                **plain,
                "accuracy": pooled and Accuracy(pooled["right"], pooled["total"]),
                "accuracy_by_site": {
                    site: Accuracy(one["right"], one["total"]) for site, one in by_site.items()
                },
            }
        )


class Server:
    """The server of one federation; where it was interrupted, it goes on.

    Args:
        federation: what server and sites agree on.
        link: how it reaches the sites.
        folder: where it keeps its state and writes its record.
        say: called with one line for people.

    Raises:
        DeploymentError: the strategy cannot run in a real federation; the sentence says why.
    """

    def __init__(
        self,
        federation: Federation,
        link: Link,
        folder: Path,
        say: Callable[[str], None] = print,
    ) -> None:
        check_deployable(federation)
        self._federation = federation
        self._task = federation.task
        self._link = link
        self._folder = folder
        self._say = say
        self._streams = Streams(federation.seed, federation.task.problem)
        classes = len(federation.classes)
        self._architecture = Architecture(self._task.model, federation.input_shape, classes)
        self._trainer = trainer_of(federation)
        self._record = Record(folder, federation)

    def run(self) -> list[Cycle]:
        """Run the federation to its end, and return what each cycle came to."""
        grants = self._begin()
        state = self._record.state() or self._first_state()
        while not (self._record.cycles and self._record.cycles[-1].stopped):
            done = len(self._record.cycles)
            if done <= state.cycle:
                self._record.add(self._cycle(state))
                done += 1
            last = self._record.cycles[-1]
            self._say(_sentence(last))
            if last.stopped:
                break
            state = self._query(state, grants)
            self._record.keep(state)
        return self._record.cycles

    def _begin(self) -> Grants:
        """Meet all sites, and ask for the labels that the federation begins with."""
        federation = self._federation
        met = self._ask_all("hello", {"digest": federation.digest})
        samples = np.array([int(met[site].facts["samples"]) for site in federation.sites])
        evaluation = largest_remainder(samples, federation.evaluation_labels)
        pools = samples - evaluation
        if self._task.label_grid[-1] > pools.sum() or (pools < 1).any():
            raise DeploymentError(
                f"The sites hold {samples.sum()} samples, too few for {evaluation.sum()} "
                f"evaluation labels and a budget_cap of {self._task.budget_cap}; lower one of them."
            )
        known = dict(self._task.label_cost)
        prices = np.array([known.get(site, 1.0) for site in federation.sites])
        weights = weights_of(self._task, samples, prices)
        initial = initial_labels(self._task, weights, pools)
        asks = {
            site: Message({"evaluation": int(own), "initial": int(first)})
            for site, own, first in zip(federation.sites, evaluation, initial, strict=True)
        }
        self._ask("ask", asks)
        return Grants(self._task, weights, pools, initial)

    def _first_state(self) -> RunState:
        return RunState(0, [], [{} for _ in range(len(self._federation.sites) + 1)])

    def _cycle(self, state: RunState) -> Cycle:
        """Train and measure."""
        cycle = Cycle(state.cycle)
        started = time.monotonic()
        status = self._wait()
        cycle.waited = time.monotonic() - started
        started = time.monotonic()
        cycle.labels_by_site = {site: int(one.facts["labels"]) for site, one in status.items()}
        cycle.samples_by_site = {  # an earlier version of a site says its labels alone
            site: int(one.facts.get("samples", one.facts["labels"])) for site, one in status.items()
        }
        cycle.labels = sum(cycle.labels_by_site.values())
        cycle.paid = sum(int(one.facts["paid"]) for one in status.values())
        coordinator = self._trained(state, cycle)
        if self._federation.evaluation_labels:
            self._measure(cycle, coordinator)
        cycle.seconds = time.monotonic() - started + state.select_seconds
        cycle.stopped = self._reason_to_stop(cycle)
        return cycle

    def _trained(self, state: RunState, cycle: Cycle) -> Coordinator:
        """Train for the task's rounds, from the last one that was finished."""
        guard = nullcontext
        begun = self._record.round(state.cycle)
        start, from_round = (state, 0) if begun is None else (begun[0], begun[1] + 1)
        coordinator = coordinator_of(self._task, self._architecture, self._streams, start, guard)
        present = 0
        for number in range(self._task.rounds):
            attending = Attendance.draw(self._task, self._streams, state.cycle, number).present
            present += len(attending)
            if number >= from_round:
                self._round(coordinator, state.cycle, number, attending)
                self._record.keep_round(
                    replace(
                        state,
                        weights=coordinator.model.weights,
                        aggregation=coordinator.memories,
                    ),
                    number,
                )
        size = coordinator.model.nbytes * coordinator.messages * present
        cycle.bytes_up, cycle.bytes_down = size + state.bytes_up, size + state.bytes_down
        self._coordinator = coordinator
        return coordinator

    def _round(
        self, coordinator: Coordinator, cycle: int, number: int, attending: tuple[int, ...]
    ) -> None:
        proximal = coordinator.proximal
        model = grouped("weights", numbers(coordinator.model.weights))
        messages = {}
        for client in attending:
            correction = coordinator.correction(client)
            more = {} if correction is None else grouped("correction", numbers(correction))
            facts = {"cycle": cycle, "round": number, "proximal": proximal}
            messages[self._federation.sites[client]] = Message(facts, model | more)
        replies = self._ask("train", messages)
        recipe = recipe_of(self._task, number, self._trainer, proximal)
        updates = []
        for client in attending:
            reply = replies[self._federation.sites[client]]
            weights = tensors(reply.group("weights"))
            updates.append(update_of(client, int(reply.facts["samples"]), weights, recipe))
        coordinator.combine([update for update in updates if update.samples])

    def _measure(self, cycle: Cycle, coordinator: Coordinator) -> None:
        model = grouped("weights", numbers(coordinator.model.weights))
        replies = self._ask_all("evaluate", {}, model)
        cycle.accuracy_by_site = {
            site: Accuracy(int(one.facts["right"]), int(one.facts["total"]))
            for site, one in replies.items()
        }
        by_site = cycle.accuracy_by_site.values()
        cycle.accuracy = Accuracy(
            sum(one.right for one in by_site), sum(one.total for one in by_site)
        )

    def _reason_to_stop(self, cycle: Cycle) -> str:
        if cycle.accuracy is not None:
            known = [one for one in self._record.cycles if one.accuracy is not None]
            labels = [one.labels for one in known] + [cycle.labels]
            accuracies = [one.accuracy for one in known if one.accuracy] + [cycle.accuracy]
            reason = reason_to_stop(self._federation.stopping, labels, accuracies)
            if reason is not None:
                return reason
        if cycle.labels >= self._task.label_grid[-1]:
            return f"The budget of {self._task.budget_cap} labels is spent."
        if cycle.cycle + 1 >= self._task.cycle_limit:
            return f"All {self._task.cycle_limit} cycles are over."
        return ""

    def _query(self, state: RunState, grants: Grants) -> RunState:
        """Run one query, and return the state of the next cycle."""
        started = time.monotonic()
        sites, coordinator = self._federation.sites, self._coordinator_of(state)
        last = self._record.cycles[-1]
        bought = np.array([last.labels_by_site[site] for site in sites])
        samples = last.samples_by_site or last.labels_by_site  # a record of an earlier version
        trained = np.array([samples[site] for site in sites])
        offer = grants.offer(state.cycle, bought, (grants.pools - trained).tolist())
        budgets, limits = offer.usual.tolist(), offer.limits.tolist()
        model = grouped("weights", numbers(coordinator.model.weights))

        def step(wanted: int | None, sent: Sent) -> dict[str, Message]:
            facts = {"cycle": state.cycle, "budgets": budgets, "limits": limits, "wanted": wanted}
            messages = {}
            for site, own in zip(sites, sent, strict=True):
                known = {str(place): array for place, array in enumerate(own)}
                messages[site] = Message(facts, model | grouped("sent", known))
            return self._ask("select", messages)

        def gather(wanted: int, sent: Sent) -> list[NDArray[Any]]:
            replies = step(wanted, sent)
            for site in sites:
                if "gathered" not in replies[site].arrays:
                    raise DeploymentError(
                        f"Strategy {strategy.name!r}: site {site!r} ended its selection where the "
                        "server waits for an array; falbench check finds out why."
                    )
            return [replies[site].arrays["gathered"] for site in sites]

        strategy = current_registry().strategies.make(strategy_selector(self._federation))
        view = ServerView(
            gather,
            state.cycle,
            budgets,
            limits,
            strategy_rng(strategy, self._streams, state.cycle),
            state.memories[-1],
        )
        strategy.select_all(view)
        replies = step(None, view.sent)
        counts = [int(replies[site].facts["bought"]) for site in sites]
        check_total(strategy, state.cycle, sum(counts), offer)
        keeps = self._task.reset == "continue"
        return RunState(
            cycle=state.cycle + 1,
            charges=[],
            memories=as_stored([*state.memories[:-1], view.memory]),
            select_seconds=time.monotonic() - started,
            bytes_up=view.bytes_up,
            bytes_down=view.bytes_down,
            weights=coordinator.model.weights if keeps else None,
            aggregation=coordinator.memories if keeps else (),
        )

    def _coordinator_of(self, state: RunState) -> Coordinator:
        """Return the server as the cycle's training left it."""
        begun = self._record.round(state.cycle)
        assert begun is not None
        return coordinator_of(self._task, self._architecture, self._streams, begun[0], nullcontext)

    def _wait(self) -> dict[str, Message]:
        """Wait until people have answered everything, and return what the sites say then."""
        said = None
        while True:
            status = self._ask_all("status", {})
            waiting = {site: int(one.facts["open"]) for site, one in status.items()}
            if not any(waiting.values()):
                return status
            if waiting != said:
                parts = [f"{count} at {site}" for site, count in waiting.items() if count]
                self._say(f"Waiting for labels: {', '.join(parts)}.")
                said = waiting
            time.sleep(self._federation.patience)

    def _ask_all(
        self, verb: Verb, facts: dict[str, Any], arrays: dict[str, NDArray[Any]] | None = None
    ) -> dict[str, Message]:
        message = Message(facts, arrays or {})
        return self._ask(verb, dict.fromkeys(self._federation.sites, message))

    def _ask(self, verb: Verb, messages: Mapping[str, Message]) -> dict[str, Message]:
        """Ask sites, and those that wait for people again once these have answered.

        Raises:
            DeploymentError: a site says that it cannot answer.
        """
        replies: dict[str, Message] = {}
        while missing := {site: one for site, one in messages.items() if site not in replies}:
            found = self._link.ask(verb, missing)
            for reply in found.values():
                if ERROR in reply.facts:
                    raise DeploymentError(str(reply.facts[ERROR]))
            replies |= {site: one for site, one in found.items() if WAITING not in one.facts}
            if len(replies) < len(messages):
                self._wait()
        return replies


class Record:
    """What the server keeps: where it stands, and what every cycle came to.

    Args:
        folder: the folder.
        federation: the federation.

    Attributes:
        cycles: all cycles so far.

    Raises:
        DeploymentError: the folder is another federation's, or its record is damaged.
    """

    def __init__(self, folder: Path, federation: Federation) -> None:
        self._folder = folder
        self._federation = federation
        self.cycles: list[Cycle] = []
        folder.mkdir(parents=True, exist_ok=True)
        if (path := folder / "record.json").exists():
            try:
                content = json.loads(read_bytes(path, links=True))
                if content["digest"] != federation.digest:
                    raise DeploymentError(
                        f"{str(folder)!r} holds the record of a federation with other settings or "
                        "another version; go on with those, or choose another folder."
                    )
                self.cycles = [Cycle.from_json(one) for one in content["cycles"]]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DeploymentError(
                    f"{str(path)!r} is damaged ({error}); restore its folder from a copy."
                ) from None

    def add(self, cycle: Cycle) -> None:
        """Add a cycle, and write the record and its curve."""
        self.cycles.append(cycle)
        content = {
            "federation": self._federation.model_dump(mode="json"),
            "digest": self._federation.digest,
            "cycles": [one.as_json() for one in self.cycles],
        }
        write_bytes(self._folder / "record.json", (json.dumps(content, indent=1) + "\n").encode())
        write_bytes(self._folder / "curves.csv", self._curves().encode())

    def state(self) -> RunState | None:
        """Return where the server stands; None at the beginning."""
        arrays = self._read("state.npz")
        return None if arrays is None else RunState.from_arrays(arrays)

    def keep(self, state: RunState) -> None:
        """Keep where the server stands: before a cycle."""
        self._write("state.npz", state.to_arrays())

    def round(self, cycle: int) -> tuple[RunState, int] | None:
        """Return the state after the last round of a cycle, and its number."""
        arrays = self._read("round.npz")
        if arrays is None:
            return None
        number = int(arrays.pop("round"))
        state = RunState.from_arrays(arrays)
        return (state, number) if state.cycle == cycle else None

    def keep_round(self, state: RunState, number: int) -> None:
        """Keep the state after a round."""
        self._write("round.npz", {**state.to_arrays(), "round": np.array(number)})

    def _curves(self) -> str:
        """Return the curve as ``falbench import`` reads it."""
        measured = [one for one in self.cycles if one.accuracy is not None]
        buffer = io.StringIO()
        out = csv.DictWriter(buffer, _COLUMNS, lineterminator="\n")
        out.writeheader()
        for one in measured:
            assert one.accuracy is not None
            low, high = one.accuracy.interval
            out.writerow(
                {
                    "task": self._federation.task.name,
                    "strategy": self._federation.strategy,
                    "seed": self._federation.seed,
                    "cycle": one.cycle,
                    "labels": one.labels,
                    "labels_strict": one.paid,
                    "bytes_up": one.bytes_up,
                    "bytes_down": one.bytes_down,
                    "accuracy": one.accuracy.share,
                    "accuracy_low": low,
                    "accuracy_high": high,
                }
            )
        return buffer.getvalue()

    def _read(self, name: str) -> dict[str, NDArray[Any]] | None:
        path = self._folder / name
        if not path.exists():
            return None
        return loaded(path)

    def _write(self, name: str, arrays: dict[str, NDArray[Any]]) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        write_bytes(self._folder / name, buffer.getvalue())


def _sentence(cycle: Cycle) -> str:
    """Return what a cycle came to, in one line."""
    parts = [f"Cycle {cycle.cycle}: {cycle.labels} labels"]
    if cycle.paid != cycle.labels:
        parts[0] += f" ({cycle.paid} paid)"
    if cycle.accuracy is not None:
        low, high = cycle.accuracy.interval
        parts.append(f"accuracy {cycle.accuracy.share:.3f} [{low:.3f}, {high:.3f}]")
    return ", ".join(parts) + "." + (f" {cycle.stopped}" if cycle.stopped else "")
