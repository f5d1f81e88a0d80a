"""Sessions, the invocations that computed something: one line each, kept beside the runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError
from pydantic.dataclasses import dataclass

from fal_bench.inputs.files import MissingFileError, UnreadableFileError, read_bytes
from fal_bench.results.files import sealed, unsealed, write_bytes
from fal_bench.results.store import SESSIONS, Corrupt, Keyed, Store


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid"))
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
    seconds: NonNegativeFloat
    finished: NonNegativeInt
    jobs: PositiveInt
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
        _add(store, session)


def read_sessions(store: Store) -> list[Session]:
    """Return the sessions of a results folder, the first one first; none if nothing is recorded.

    A damaged line is left out, as are all sessions that were killed.
    """
    sessions, _ = _read(store)
    return sessions


def sessions_problem(store: Store) -> str:
    """Return a sentence if sessions of a results folder are lost; else an empty text."""
    _, problem = _read(store)
    if not problem:
        return ""
    return (
        f"{str(store.sessions)!r} is damaged ({problem}); nothing but the time that some sessions "
        "took is lost."
    )


def _add(store: Store, session: Session) -> None:
    """Write all sessions and a new one; each line says its number and how many there are."""
    sessions, problem = _read(store)
    if problem:
        store.set_aside(Corrupt(store.sessions, problem))
    sessions.append(session)
    lines = [
        sealed(SESSIONS, "", {**asdict(one), "number": number, "of": len(sessions)})
        for number, one in enumerate(sessions, 1)
    ]
    write_bytes(store.sessions, "".join(f"{json.dumps(line)}\n" for line in lines).encode())


def _read(store: Store) -> tuple[list[Session], str]:
    """Return the sessions that can be read, and what is wrong with the others."""
    path = store.sessions
    try:
        lines = read_bytes(path).splitlines()
    except MissingFileError:
        return [], ""
    except UnreadableFileError as error:
        return [], error.cause
    found = [_line(path, line) for line in lines if line.strip()]
    good = [one for one in found if one is not None]
    numbers = [one.number for one in good if one.of is not None]
    totals = {one.of for one in good}
    sessions = [one.session for one in good]
    if len(good) < len(found):
        return sessions, f"{len(found) - len(good)} of its lines cannot be read"
    if not good or (numbers and (totals != {len(good)} or numbers != [*range(1, len(good) + 1)])):
        return sessions, "lines of it are missing"
    return sessions, ""


@dataclass
class _Line:
    """A line of the file.

    Attributes:
        session: the session.
        number: its number, from 1; None in a line of an earlier version.
        of: how many there were when it was written; likewise.
    """

    session: Session
    number: int | None
    of: int | None


def _line(path: Path, content: bytes) -> _Line | None:
    """Return what a line says; None if it is damaged."""
    try:
        values, is_sealed = unsealed(path, "", content)
        place = (values.pop("number"), values.pop("of")) if is_sealed else (None, None)
        return _Line(Session(**values), *place)
    except (UnreadableFileError, ValidationError, KeyError, TypeError):
        return None
