"""One run's directory: its description, curve, checkpoint, status and ledger."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fal_bench.errors import StoreError
from fal_bench.federation.journal import Row
from fal_bench.federation.memory import from_json_array, join, split, to_json_array
from fal_bench.federation.state import RunState
from fal_bench.results.files import read_json, write_atomically, write_json
from fal_bench.results.identity import description_key

Phase = Literal["new", "partial", "done", "failed"]

_FACTS, _FACTS_BEFORE = "run.json", "cell.json"
_CHARGE = ["client", "sample", "purpose", "cycle"]


class CorruptRunError(StoreError):
    """A run's files do not fit together."""


class RunFolder:
    """The directory of one run, and the journal of its run.

    Files: ``run.json`` (description and environment), ``curve.csv`` (one row a cycle),
    ``checkpoint.npz`` (state before the next cycle; gone when done), ``status.json``,
    ``ledger.csv`` (every charge; written when done) and ``memory.npz`` (what the strategy keeps, if
    anything).

    Args:
        path: the directory; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._curve = path / "curve.csv"
        self._ledger = path / "ledger.csv"
        self._checkpoint = path / "checkpoint.npz"
        self._status = path / "status.json"

    def create(self, facts: Mapping[str, Any], environment: dict[str, str]) -> None:
        """Make the directory and describe the run.

        Args:
            facts: what is known of the run: ``description`` (canonical), ``reference`` (whether
                its strategy is a yardstick), ``trainer_named`` (whether the trainer belongs to
                what the strategy is called) and ``metrics`` (whether higher is better, by name).
            environment: versions and processor.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / _FACTS, {**facts, "environment": environment})
        self._set_status("partial")

    def facts(self) -> dict[str, Any]:
        """Return what is known of the run: what ``create`` was given, and its ``pool``.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        old = self.path / _FACTS_BEFORE
        facts: dict[str, Any] = read_json(old if old.exists() else self.path / _FACTS)
        return facts

    def move_over(self) -> None:
        """Give the files of a run of schema 1 the names of today."""
        old = self.path / _FACTS_BEFORE
        if old.exists():
            old.rename(self.path / _FACTS)

    def in_progress(self) -> bool:
        """Whether the run is neither done nor failed."""
        return not self._status.exists() or self.status()["phase"] == "partial"

    def reopen(self) -> None:
        """Let a run that failed before go on where it was."""
        if self._status.exists() and self.status()["phase"] == "failed":
            self._set_status("partial")

    def note_pool(self, pool: int) -> None:
        """Keep the size of the query pool beside the description, for reports."""
        write_json(self.path / _FACTS, {**self.facts(), "pool": pool})

    def pool(self) -> int:
        """Return the size of the query pool over all clients."""
        return int(self.facts()["pool"])

    def phase(self) -> Phase:
        """Return how far the run is.

        Raises:
            CorruptRunError: the files do not fit together.
        """
        if not self._status.exists():
            return "new"
        status = self.status()
        try:
            run = self.facts()
            if description_key(run["description"]) != self.path.name:
                raise CorruptRunError("its description does not belong to its key")
            if status["phase"] == "done":
                int(run["pool"])
                if status["curve"] != _digest(self._curve):
                    raise CorruptRunError("its curve is not the one that was finished")
                # Runs of earlier versions say nothing of their ledger.
                if "ledger" in status and status["ledger"] != _digest(self._ledger):
                    raise CorruptRunError("its ledger is not the one that was finished")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorruptRunError(f"a file cannot be read ({error})") from None
        phase: Phase = status["phase"]
        return phase

    def status(self) -> dict[str, Any]:
        """Return the content of ``status.json``.

        Raises:
            CorruptRunError: it cannot be read.
        """
        try:
            status: dict[str, Any] = read_json(self._status)
            if status["phase"] not in ("partial", "done", "failed"):
                raise ValueError(f"phase {status['phase']!r}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorruptRunError(f"status.json cannot be read ({error})") from None
        return status

    def ended(self) -> datetime:
        """Return when the run was marked done or failed, by the time of ``status.json``."""
        return datetime.fromtimestamp(self._status.stat().st_mtime, UTC)

    def rows(self) -> list[Row]:
        """Return the curve; a last line that was cut short is left out.

        Raises:
            CorruptRunError: the curve is not one of this format.
        """
        if not self._curve.exists():
            return []
        lines = self._curve.read_text(encoding="utf-8").splitlines(keepends=True)
        complete = [line for line in lines if line.endswith("\n")]
        reader = csv.DictReader(complete)
        try:
            if complete and not {*Row.columns()} <= {*(reader.fieldnames or ())}:
                raise ValueError(f"columns {reader.fieldnames}")
            return [_row(record) for record in reader]
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptRunError(f"curve.csv cannot be read ({error})") from None

    def charges(self) -> tuple[Counter[tuple[int, str, int]], str]:
        """Return how many labels were read, by cycle, purpose and client, and the ledger's digest.

        A label that was read for several purposes is counted once, for the first of them, so that
        the counts add up to the strict labels. The digest does not depend on the ledger's order.

        Raises:
            CorruptRunError: the ledger cannot be read.
        """
        seen: set[tuple[str, str]] = set()
        counts: Counter[tuple[int, str, int]] = Counter()
        try:
            text = self._ledger.read_text(encoding="utf-8")
            heading, *lines = csv.reader(text.splitlines())
            if heading != _CHARGE:
                raise ValueError(f"columns {heading}")
            for client, sample, purpose, cycle in lines:
                if (client, sample) not in seen:
                    seen.add((client, sample))
                    counts[int(cycle), purpose, int(client)] += 1
        except (OSError, ValueError) as error:
            raise CorruptRunError(
                f"Cannot read the ledger of run {self.path.name[:12]} ({error}); delete the run's "
                "directory to run it again."
            ) from None
        return counts, hashlib.sha256("\n".join(sorted(text.splitlines())).encode()).hexdigest()

    # The journal of a running run.

    def resume(self) -> RunState | None:
        """Return the checkpoint, with the curve cut back to it; None starts over.

        Raises:
            CorruptRunError: checkpoint and curve do not fit together.
        """
        if not self._checkpoint.exists():
            self._write_rows([])
            return None
        try:
            with np.load(self._checkpoint, allow_pickle=False) as arrays:
                state = RunState.from_arrays(dict(arrays))
        except Exception as error:
            raise CorruptRunError(f"its checkpoint cannot be read ({error})") from None
        rows = self.rows()
        if [row.cycle for row in rows[: state.cycle]] != list(range(state.cycle)):
            raise CorruptRunError("its curve lacks rows that its checkpoint has seen")
        self._write_rows(rows[: state.cycle])
        return state

    def append(self, row: Row) -> None:
        """Add one row to ``curve.csv``."""
        with self._curve.open(encoding="utf-8") as file:
            known = file.readline().strip().split(",")
        if not {*row.metrics} <= {*known}:
            self._write_rows([*self.rows(), row])
            return
        with self._curve.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, known, lineterminator="\n").writerow(_record(row))

    def checkpoint(self, state: RunState) -> None:
        """Replace ``checkpoint.npz``."""
        arrays = state.to_arrays()
        write_atomically(self._checkpoint, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]

    def finish(
        self, charges: Sequence[tuple[int, int, str, int]], kept: Sequence[dict[str, Any]]
    ) -> None:
        """Write the ledger and what is kept, mark the run done, and drop the checkpoint."""
        if any(kept):
            arrays: dict[str, NDArray[Any]] = {}
            arrays["memories"] = to_json_array(split(list(kept), arrays))
            write_atomically(self.path / "memory.npz", lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_CHARGE)
        writer.writerows(charges)
        content = text.getvalue().encode()
        write_atomically(self._ledger, lambda file: file.write(content))
        self._set_status("done", curve=_digest(self._curve), ledger=_digest(self._ledger))
        self._checkpoint.unlink(missing_ok=True)

    def fail(self, reason: str, details: str = "") -> None:
        """Mark the run failed, with one sentence and, if there is one, a traceback."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._set_status("failed", reason=reason, details=details)

    def kept(self) -> list[dict[str, Any]]:
        """Return what the strategy kept of each client's memory; empty if nothing."""
        if not (self.path / "memory.npz").exists():
            return []
        with np.load(self.path / "memory.npz", allow_pickle=False) as arrays:
            found = dict(arrays)
        memories: list[dict[str, Any]] = join(from_json_array(found["memories"]), found)
        return memories

    def _set_status(self, phase: Phase, **more: str) -> None:
        write_json(self._status, {"phase": phase, **more})

    def _write_rows(self, rows: Sequence[Row]) -> None:
        text = io.StringIO(newline="")
        metrics = {name for row in rows for name in row.metrics}
        writer = csv.DictWriter(text, Row.columns(metrics), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(_record, rows))
        content = text.getvalue().encode()
        write_atomically(self._curve, lambda file: file.write(content))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


_INTEGERS = ("cycle", "labels", "labels_strict", "bytes_up", "bytes_down")
_TEXTS = ("labels_by_client", "labels_strict_by_client")


def _record(row: Row) -> dict[str, Any]:
    """Return a row as it is written; a metric without a value is an empty field."""
    values = {name: getattr(row, name) for name in Row.columns()}
    return values | {
        name: "" if math.isnan(value) else value for name, value in row.metrics.items()
    }


def _row(record: dict[str, str]) -> Row:
    values: dict[str, Any] = {}
    for name in Row.columns():
        text = record.pop(name)
        values[name] = text if name in _TEXTS else (int if name in _INTEGERS else float)(text)
    metrics = {name: float(text) if text else math.nan for name, text in record.items()}
    return Row(**values, metrics=metrics)
