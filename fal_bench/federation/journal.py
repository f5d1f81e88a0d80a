"""What a running run reports, and to whom: the result store implements it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any, Protocol

from fal_bench.federation.state import RunState
from fal_bench.plugins.built_in import STRATEGY, Kind

LABELS_COST = "labels_cost"

METRICS_FOLLOW = 3
"""Number of columns before the metrics: cycle, labels and strict labels."""


@dataclass(frozen=True)
class Row:
    """One cycle of a learning curve; a row describes the model trained with those labels.

    Attributes:
        cycle: number of the cycle, from 0.
        labels: paper labels over all clients.
        labels_strict: strict labels over all clients.
        bytes_up: bytes from all clients to the server, for the selection that led to this model
            and for its training.
        bytes_down: bytes from the server to all clients, likewise.
        train_seconds: seconds of federated training.
        select_seconds: seconds of the selection that led to this model.
        labels_by_client: paper labels of each client, separated by spaces.
        labels_strict_by_client: strict labels of each client, separated by spaces.
        metrics: the global model's metrics by name; NaN where one has no value. Where the task has
            prices, ``LABELS_COST`` stands among them: what all labels that were read have cost.
    """

    cycle: int
    labels: int
    labels_strict: int
    bytes_up: int
    bytes_down: int
    train_seconds: float
    select_seconds: float
    labels_by_client: str
    labels_strict_by_client: str
    metrics: Mapping[str, float]

    @classmethod
    def columns(cls, metrics: Iterable[str] = ()) -> list[str]:
        """Return the names of a curve's columns, in order: labels, metrics, costs.

        Args:
            metrics: names of the metrics that the curve has.
        """
        return [*_ALWAYS[:METRICS_FOLLOW], *sorted(metrics), *_ALWAYS[METRICS_FOLLOW:]]


_ALWAYS = tuple(field.name for field in fields(Row) if field.name != "metrics")


class Journal(Protocol):
    """Where a run writes its rows and checkpoints, and says that a plugin is at work."""

    def resume(self) -> RunState | None:
        """Return the state to go on from, or None to start."""

    def append(self, row: Row) -> None:
        """Record one cycle."""

    def checkpoint(self, state: RunState) -> None:
        """Record the state before the next cycle; all rows before it are safe."""

    def plugin_call(
        self, cycle: int, kind: Kind = STRATEGY, name: str = ""
    ) -> AbstractContextManager[None]:
        """Mark, while the context is open, that this run runs a plugin's code.

        Calls may be nested: a strategy that asks for probabilities calls the trainer.

        Args:
            cycle: the cycle.
            kind: the kind of plugin that is at work.
            name: its name; the run's own strategy if empty.
        """

    def beat(self, cycle: int) -> None:
        """Say that the plugin call is getting on: its time limit starts again."""

    def finish(
        self,
        charges: Sequence[tuple[int, int, str, int]],
        kept: Sequence[dict[str, Any]],
        unrecorded: Mapping[str, str],
    ) -> None:
        """Record that the run is complete.

        Args:
            charges: all charges of its ledger.
            kept: what the strategy keeps of each client's memory.
            unrecorded: why metrics could not be measured, by name.
        """


class MemoryJournal:
    """A journal that keeps everything in memory, for tests and one-off runs."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.states: list[RunState] = []
        self.charges: list[tuple[int, int, str, int]] = []
        self.kept: list[dict[str, Any]] = []
        self.unrecorded: dict[str, str] = {}

    def resume(self) -> RunState | None:
        """Start from the beginning."""
        return None

    def append(self, row: Row) -> None:
        """Keep the row."""
        self.rows.append(row)

    def checkpoint(self, state: RunState) -> None:
        """Keep a copy of the state, as a file would."""
        self.states.append(RunState.from_arrays(state.to_arrays()))

    def plugin_call(
        self,
        cycle: int,  # noqa: ARG002
        kind: Kind = STRATEGY,  # noqa: ARG002
        name: str = "",  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Mark nothing: nothing reads it."""
        return nullcontext()

    def beat(self, cycle: int) -> None:
        """Mark nothing."""

    def finish(
        self,
        charges: Sequence[tuple[int, int, str, int]],
        kept: Sequence[dict[str, Any]],
        unrecorded: Mapping[str, str],
    ) -> None:
        """Keep the charges, the memories, and why metrics could not be measured."""
        self.charges = list(charges)
        self.kept = list(kept)
        self.unrecorded = dict(unrecorded)
