"""Sessions, the invocations that computed something: one line each, kept beside the runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from fal_bench.errors import StoreError
from fal_bench.results.store import Keyed, Store


@dataclass(frozen=True)
class Session:
    """One stretch of computing.

    Attributes:
        started: when, in UTC, as ISO 8601.
        seconds: how long, by the wall clock.
        finished: runs that it finished.
        jobs: its worker processes.
        backend: where its workers ran.
    """

    started: str
    seconds: float
    finished: int
    jobs: int
    backend: str


@contextmanager
def recorded_session(
    store: Store, specs: Sequence[Keyed], *, jobs: int, backend: str
) -> Iterator[None]:
    """Add a line for what happens while the context is open, also if it is interrupted.

    Args:
        store: the results folder; its lock is held.
        specs: the runs that the session is for; none of them is finished yet.
        jobs: worker processes.
        backend: where its workers run.
    """
    if not specs:
        yield
        return
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        yield
    finally:
        finished = sum(store.phase(spec) == "done" for spec in specs)
        seconds = round(time.monotonic() - clock, 1)
        session = Session(started.isoformat(timespec="seconds"), seconds, finished, jobs, backend)
        with store.sessions.open("a", encoding="utf-8") as lines:
            lines.write(f"\n{json.dumps(asdict(session))}\n")  # also after a line that was cut off


def read_sessions(store: Store) -> list[Session]:
    """Return the sessions of a results folder, the first one first; none if nothing is recorded.

    A line that was cut off is left out, as are all sessions that were killed.

    Raises:
        StoreError: a line is no record of a session.
    """
    path = store.sessions
    if not path.exists():
        return []
    try:
        return [Session(**record) for record in _records(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError) as error:
        raise StoreError(f"Cannot read {str(path)!r} ({error}); remove it.") from None


def _records(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        with suppress(json.JSONDecodeError):
            yield json.loads(line)
