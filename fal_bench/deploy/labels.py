"""A site's label store: which labels were asked for, who said what, and when.

One SQLite file. Answers are only ever added: the newest one of a sample counts, and one that is
taken back opens the question again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.data.annotators import NO_VOTE
from fal_bench.deploy.messages import DeploymentError
from fal_bench.federation.ledger import FURTHER, PURPOSES

EVALUATION: Final = "evaluation"
"""Labels that the model is measured with; they are on the bill, and never trained on."""
FILE: Final = "labels.sqlite"

_SECONDS: Final = 30.0
"""How long to wait for another process that writes."""

_READ: Final = "begin"

_SCHEMA: Final = """
create table if not exists request(
    id integer primary key, sample integer not null, vote integer not null, purpose text not null,
    cycle integer not null, asked text not null, unique(sample, vote, purpose));
create table if not exists answer(
    id integer primary key, sample integer not null, vote integer not null, label integer,
    annotator text not null, at text not null);
create index if not exists answers on answer(sample, vote, id);
create table if not exists query(cycle integer primary key, bought integer not null);
create table if not exists fact(name text primary key, value text not null);
create view if not exists said as
    select sample, vote, label, annotator, at from answer
    where id in (select max(id) from answer group by sample, vote);
create view if not exists open_request as
    select min(request.id) as id, request.sample, request.vote, min(purpose) as purpose,
           min(cycle) as cycle, min(asked) as asked
    from request left join said using (sample, vote)
    where said.label is null group by request.sample, request.vote;
"""


@dataclass(frozen=True)
class Pending:
    """A label that somebody is to give.

    Attributes:
        sample: number of the sample at its site.
        vote: 0 for the first label of a sample, more for further votes.
        purpose: what it is for.
        cycle: the cycle that asked.
        asked: when, in ISO 8601.
    """

    sample: int
    vote: int
    purpose: str
    cycle: int
    asked: str


@dataclass(frozen=True)
class Answer:
    """What somebody said, or that it was taken back.

    Attributes:
        sample: number of the sample at its site.
        vote: 0 for the first label of a sample, more for further votes.
        label: the class; None if an earlier answer was taken back.
        annotator: who said it.
        at: when, in ISO 8601.
    """

    sample: int
    vote: int
    label: int | None
    annotator: str
    at: str


class LabelStore:
    """Labels of one site; every method may be called again with the same arguments.

    Args:
        folder: where its file lies; it is made if need be.

    Raises:
        DeploymentError: the file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        folder.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.executescript(_SCHEMA)

    def fix(self, facts: Mapping[str, str]) -> None:
        """Write facts down that must never change, or say which one has.

        Raises:
            DeploymentError: a fact is another one than before.
        """
        known = self.facts()
        for name, value in facts.items():
            if known.get(name, value) != value:
                raise DeploymentError(
                    f"The {name} of the label store {str(self.path)!r} was {known[name]!r} and is "
                    f"now {value!r}; go on with what it was, or start with another store."
                )
        with self._open() as database:
            database.executemany(
                "insert or ignore into fact(name, value) values(?, ?)", facts.items()
            )

    def facts(self) -> dict[str, str]:
        """Return all facts by name."""
        with self._open(_READ) as database:
            return dict(database.execute("select name, value from fact"))

    def ask(self, samples: Sequence[int], purpose: str, cycle: int, vote: int = 0) -> None:
        """Ask for labels; what was asked for this purpose before stays as it is."""
        with self._open() as database:
            _ask(database, samples, purpose, cycle, vote)

    def close_query(self, cycle: int, samples: Sequence[int], purpose: str, bought: int) -> None:
        """Ask for the labels of a query and write down that it is over, both or neither.

        Args:
            cycle: the query's cycle.
            samples: what was selected.
            purpose: what for.
            bought: labels that the query cost, further votes included.
        """
        with self._open() as database:
            _ask(database, samples, purpose, cycle, 0)
            database.execute("insert or ignore into query values(?, ?)", (cycle, bought))

    def closed_query(self, cycle: int) -> int | None:
        """Return what the query of a cycle cost; None if it is not over."""
        with self._open(_READ) as database:
            row = database.execute("select bought from query where cycle = ?", (cycle,)).fetchone()
        return None if row is None else int(row[0])

    def pending(self) -> list[Pending]:
        """Return what is asked for and not answered, in the order in which it was asked."""
        with self._open(_READ) as database:
            rows = database.execute(
                "select sample, vote, purpose, cycle, asked from open_request order by id"
            ).fetchall()
        return [Pending(*row) for row in rows]

    def answer(self, labels: Iterable[tuple[int, int, int]], annotator: str, n_classes: int) -> int:
        """Write answers down; one that is known already changes nothing.

        Args:
            labels: sample, vote and class of each.
            annotator: who gives them.
            n_classes: how many classes there are.

        Returns:
            How many of them are new, or differ from what was known.

        Raises:
            DeploymentError: a label was not asked for, or is none of the classes; none is written
                then.
        """
        if not annotator.strip():
            raise DeploymentError("An answer needs an annotator; say who gives it.")
        with self._open() as database:
            changed = 0
            for sample, vote, label in labels:
                if not 0 <= label < n_classes:
                    raise DeploymentError(
                        f"Sample {sample} has the label {label}; use 0 to {n_classes - 1}."
                    )
                _check_asked(database, sample, vote)
                if _current(database, sample, vote) == label:
                    continue
                _add(database, sample, vote, label, annotator)
                changed += 1
        return changed

    def take_back(self, sample: int, annotator: str, vote: int = 0) -> None:
        """Open a question again whose answer was wrong; both stay in the history.

        Raises:
            DeploymentError: it was not asked, or has no answer.
        """
        with self._open() as database:
            _check_asked(database, sample, vote)
            if _current(database, sample, vote) is None:
                raise DeploymentError(f"Sample {sample} has no label to take back.")
            _add(database, sample, vote, None, annotator)

    def history(self) -> list[Answer]:
        """Return all answers in the order in which they came, those taken back included."""
        with self._open(_READ) as database:
            rows = database.execute(
                "select sample, vote, label, annotator, at from answer order by id"
            ).fetchall()
        return [Answer(*row) for row in rows]

    def votes(self, number: int, samples: int) -> IntArray:
        """Return the answers with a vote's number, ``NO_VOTE`` where there is none.

        Args:
            number: 0 for the first label, more for further votes.
            samples: how many samples the site has.

        Returns:
            Shape (samples,).
        """
        found = np.full(samples, NO_VOTE, dtype=np.int64)
        with self._open(_READ) as database:
            rows = database.execute(
                "select sample, label from said where vote = ? and label is not null", (number,)
            ).fetchall()
        for sample, label in rows:
            found[sample] = label
        return found

    def charges(self) -> list[tuple[int, int, str, int]]:
        """Return everything that was asked for: sample, vote, purpose and cycle, in order."""
        with self._open(_READ) as database:
            return database.execute(
                "select sample, vote, purpose, cycle from request order by id"
            ).fetchall()

    def paid(self) -> int:
        """Return how many labels are to be paid: distinct pairs of sample and vote."""
        with self._open(_READ) as database:
            [(count,)] = database.execute(
                "select count(*) from (select distinct sample, vote from request)"
            )
        return int(count)

    @contextmanager
    def _open(self, begin: str = "begin immediate") -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction; one that only reads begins as ``_READ``."""
        try:
            database = sqlite3.connect(self.path, timeout=_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        try:
            database.execute(begin)
            yield database
            if database.in_transaction:
                database.execute("commit")
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        finally:
            database.close()  # what was not committed is undone

    def _unusable(self, error: sqlite3.Error) -> DeploymentError:
        return DeploymentError(
            f"The label store {str(self.path)!r} cannot be used ({error}); restore it from a copy."
        )


def _ask(
    database: sqlite3.Connection, samples: Sequence[int], purpose: str, cycle: int, vote: int
) -> None:
    if purpose not in (*PURPOSES, EVALUATION):
        raise DeploymentError(f"Unknown purpose {purpose!r}.")
    assert (vote > 0) == (purpose == FURTHER)
    database.executemany(
        "insert or ignore into request(sample, vote, purpose, cycle, asked) values(?, ?, ?, ?, ?)",
        [(int(sample), vote, purpose, cycle, _now()) for sample in samples],
    )


def _check_asked(database: sqlite3.Connection, sample: int, vote: int) -> None:
    where = (sample, vote)
    if (
        database.execute("select 1 from request where sample = ? and vote = ?", where).fetchone()
        is None
    ):
        which = f"vote {vote} on sample {sample}" if vote else f"the label of sample {sample}"
        raise DeploymentError(
            f"Nothing asked for {which}; label what falbench labels pending shows."
        )


def _current(database: sqlite3.Connection, sample: int, vote: int) -> int | None:
    row = database.execute(
        "select label from said where sample = ? and vote = ?", (sample, vote)
    ).fetchone()
    return None if row is None else row[0]


def _add(
    database: sqlite3.Connection, sample: int, vote: int, label: int | None, annotator: str
) -> None:
    database.execute(
        "insert into answer(sample, vote, label, annotator, at) values(?, ?, ?, ?, ?)",
        (sample, vote, label, annotator, _now()),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
