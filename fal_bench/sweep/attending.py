"""Running a group of runs in a process of its own, and going on when that dies or hangs.

A run that may have ended its process is run again alone, and is to blame if that ends, too. So is
the only run for which a plugin was called that did not come back. The others go on where they were.
On a cluster this happens at each of its workers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from tempfile import TemporaryFile
from typing import Final

from fal_bench.errors import StoreError, message_of
from fal_bench.isolation.child import Child, ChildError, Ended
from fal_bench.plugins.built_in import STRATEGY
from fal_bench.results.store import Store
from fal_bench.sweep.spec import RunSpec
from fal_bench.sweep.worker import Job, get_ready, run_job, unfinished

UNEXPLAINED_DEATHS: Final = 2
"""Deaths outside plugin code (out of memory, say) after which a run is computed alone."""

SECONDS_IDLE: Final = 300.0
"""Seconds after which processes that wait for more work are ended."""

OURS: Final[frozenset[str]] = frozenset()
"""The company of runs that run none but falbench's own code."""


@dataclass
class Children:
    """Processes that wait for more work of their company.

    Those that have run a plugin's code are kept for a comparison alone, since its file may be
    edited; the others are kept for the next one, too.
    """

    _idle: list[tuple[frozenset[str], Child]] = field(default_factory=list)
    _busy: set[Child] = field(default_factory=set)
    _starting: int = 0
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _timer: threading.Timer | None = None

    def start(self, count: int) -> None:
        """Let so many processes for runs of our own get ready, while other things are done."""
        with self._lock:
            there = sum(company == OURS for company, _ in self._idle) + self._starting
            missing = max(count - there, 0)
            self._starting += missing
        for _ in range(missing):
            threading.Thread(target=self._start_one, daemon=True).start()

    def _start_one(self) -> None:
        child, ready = None, False
        try:
            child = Child()
            child.run(get_ready)
            ready = True
        except Exception:  # who needs a process starts another one, and says why that cannot be
            if child is not None:
                child.end()
        finally:
            with self._lock:
                self._starting -= 1
                if child is not None and ready:
                    self._idle.append((OURS, child))
                    self._end_later()
                self._lock.notify_all()

    @contextmanager
    def one(self, company: frozenset[str]) -> Iterator[Child]:
        """Return a child for work of a company; one that ends is not used again.

        One that is about to be ready is waited for.

        Raises:
            ChildError: none can be started.
        """
        with self._lock:
            while (found := self._waiting(company)) is None and company == OURS and self._starting:
                self._lock.wait()
            if found is not None:
                self._idle.remove(found)
        child = found[1] if found is not None else Child()
        with self._lock:
            self._busy.add(child)
        try:
            yield child
        except BaseException:
            child.end()
            raise
        else:
            with self._lock:
                self._idle.append((company, child))
                self._end_later()
        finally:
            with self._lock:
                self._busy.discard(child)

    def _waiting(self, company: frozenset[str]) -> tuple[frozenset[str], Child] | None:
        return next((one for one in self._idle if one[0] == company), None)

    def _end_later(self) -> None:
        """End the processes that wait after a while, since each holds half a gigabyte."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(SECONDS_IDLE, self._end_idle)
        self._timer.daemon = True
        self._timer.start()

    def _end_idle(self) -> None:
        with self._lock:
            ending, self._idle = self._idle, []
        for _, child in ending:
            child.end()

    def companies(self) -> list[frozenset[str]]:
        """Return the companies of the processes that wait."""
        with self._lock:
            return [company for company, _ in self._idle]

    def end(self, *, but: frozenset[str] | None = None) -> None:
        """End all processes.

        Args:
            but: the company of those that may go on waiting.
        """
        with self._lock:
            ending = [child for company, child in self._idle if company != but]
            ending += [] if but is not None else self._busy
            self._idle = [one for one in self._idle if one[0] == but]
        for child in ending:
            child.end()


CHILDREN: Final = Children()
"""The processes of this one that wait for more work."""


def attend(job: Job, children: Children, stopped: threading.Event | None = None) -> None:
    """Run a group of runs, each until it is done or failed; that is in the store afterwards.

    Args:
        job: the group.
        children: processes that it may use.
        stopped: set before the processes are ended from outside, which is no run's fault.

    Raises:
        ChildError: no process can be started.
        StoreError: the results folder cannot be used.
    """
    store, deaths = Store(job.root), 0
    while job.specs:
        ending = _run(job, children)
        if ending is None or (stopped is not None and stopped.is_set()):
            return
        suspects = _suspects(job, ending)
        deaths += not suspects
        if deaths >= UNEXPLAINED_DEATHS:
            suspects = list(job.specs)
        if _is_clear(job, ending, suspects):
            _blame(store, suspects[0], ending)
        for suspect in unfinished(store, suspects):
            alone = _run(replace(job, specs=(suspect,)), children)
            if stopped is not None and stopped.is_set():
                return
            if alone is not None:
                _blame(store, suspect, alone)
        job = replace(job, specs=unfinished(store, job.specs))


def _run(job: Job, children: Children) -> Ended | None:
    """Run a group in one process, and return how that ended if it did."""
    try:
        with children.one(job.company) as child:
            child.run(run_job, job, limits=job.limits)
    except Ended as ending:
        return ending
    except ChildError:
        raise
    except Exception as error:
        # A plugin may have set a limit to its process, or taken our code apart.
        if job.company == OURS or not _can_write(Store(job.root)):
            raise
        return Ended("died", None, message_of(error))
    return None


def _can_write(store: Store) -> bool:
    """Whether this process can write to a results folder."""
    try:
        with TemporaryFile(dir=store.root) as file:
            file.write(bytes(2**16))
            file.flush()
    except OSError:
        return False
    return True


def _suspects(job: Job, ending: Ended) -> list[RunSpec]:
    """Return the runs that may have ended a process."""
    return [spec for spec in job.specs if ending.call and spec.key in ending.call.runs]


def _is_clear(job: Job, ending: Ended, suspects: Sequence[RunSpec]) -> bool:
    """Whether an end has one cause; a death by itself may have come from outside."""
    alone = len(job.specs) == 1
    return len(suspects) == 1 and (ending.how == "hung" or (ending.how == "too large" and alone))


def _blame(store: Store, spec: RunSpec, ending: Ended) -> None:
    """Say of a run that it ended its process."""
    try:
        store.folder(spec).fail(cause_of_death(spec, ending))
    except OSError as error:
        raise StoreError(f"Cannot write to {str(store.root)!r} ({error}).") from error


def cause_of_death(spec: RunSpec, ending: Ended) -> str:
    """Return, in one sentence, which plugin did what.

    Args:
        spec: the run.
        ending: how its process ended.
    """
    call = ending.call
    if call is None and spec.company != OURS:
        who = ", ".join(sorted(spec.company))
        if not spec.is_ours(STRATEGY):
            who = f"{spec.strategy.name!r} ({who})"
        return f"{who} or what it left behind {ending.deed}."
    if call is None:
        return (
            f"While no plugin was at work, the run {ending.deed}; it may need more memory than "
            f"there is, or {spec.strategy.name!r} keeps too much between its calls."
        )
    who = f"{call.who} ({call.where})" if call.where else call.who
    return f"{who} {ending.deed}; {_ADVICE[ending.how]}."


_ADVICE: Final = {
    "died": "it exits the process, crashes, or takes too much memory",
    "hung": "make it faster or raise call_timeout",
    "too large": "keep less in memory, or raise memory_limit",
}
