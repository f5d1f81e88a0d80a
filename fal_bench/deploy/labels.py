"""A site's label store: which labels were asked for, who said what, and when.

One SQLite file. Answers are only ever added: the newest one of a vote counts, and one that is
taken back opens the question again. A person has one vote on a sample. Where a site asks two people
and they differ, a third one decides.
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
SECOND: Final = "second-vote"
"""A second person is asked, because the site asks two about each sample."""
ADJUDICATION: Final = "adjudication"
"""A third person is asked, because two differ; what they say is the label."""
SITE_PURPOSES: Final = (EVALUATION, SECOND, ADJUDICATION)
"""What the ledger of the strategy's labels does not hold; all of it is on the bill."""
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
create table if not exists receipt(source text primary key, version text not null);
create view if not exists said as
    select sample, vote, label, annotator, at from answer
    where id in (select max(id) from answer group by sample, vote);
create view if not exists open_request as
    select min(request.id) as id, request.sample, request.vote, min(purpose) as purpose,
           min(cycle) as cycle, min(asked) as asked
    from request left join said using (sample, vote)
    where said.label is null group by request.sample, request.vote;
"""


class NotNeededError(DeploymentError):
    """A label that was not asked for, or not from this person."""


@dataclass(frozen=True)
class Pending:
    """A label that somebody is to give.

    Attributes:
        sample: number of the sample at its site.
        vote: 0 for the first person who is asked about a sample, 1 for the second, and so on.
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
        vote: 0 for the first person who is asked about a sample, 1 for the second, and so on.
        label: the class; None if an earlier answer was taken back.
        annotator: who said it.
        at: when, in ISO 8601.
        purpose: what was asked for.
        cycle: the cycle that asked.
    """

    sample: int
    vote: int
    label: int | None
    annotator: str
    at: str
    purpose: str
    cycle: int


@dataclass(frozen=True)
class Said:
    """What somebody says of a sample.

    Attributes:
        sample: number of the sample at its site.
        label: the class.
        annotator: who says it.
        where: where it was read, for messages; empty if it was nowhere.
    """

    sample: int
    label: int
    annotator: str
    where: str = ""


class LabelStore:
    """Labels of one site; every method may be called again with the same arguments.

    Args:
        folder: where its file lies; it is made if need be.
        votes: people who are asked about each sample, 1 or 2.
        adjudicators: who decides where two differ, and answers nothing else; anybody if empty.

    Raises:
        DeploymentError: the file cannot be used.
    """

    def __init__(self, folder: Path, votes: int = 1, adjudicators: Sequence[str] = ()) -> None:
        self.path = folder / FILE
        self._votes = votes
        self._adjudicators = frozenset(map(_person, adjudicators))
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

    def ask(self, samples: Sequence[int], purpose: str, cycle: int) -> None:
        """Ask for labels; what was asked for this purpose before stays as it is."""
        with self._open() as database:
            self._ask(database, samples, purpose, cycle)

    def ask_again(self, sample: int, count: int, cycle: int) -> None:
        """See to it that a strategy's further votes on a sample are so many."""
        with self._open() as database:
            votes = _ballot(database, sample)
            known = sum(one.purpose == FURTHER for one in votes)
            for number in range(count - known):
                _request(database, sample, len(votes) + number, FURTHER, cycle)

    def close_query(self, cycle: int, samples: Sequence[int], purpose: str, bought: int) -> None:
        """Ask for the labels of a query and write down that it is over, both or neither.

        Args:
            cycle: the query's cycle.
            samples: what was selected.
            purpose: what for.
            bought: labels that the query cost, further votes included.
        """
        with self._open() as database:
            self._ask(database, samples, purpose, cycle)
            database.execute("insert or ignore into query values(?, ?)", (cycle, bought))

    def closed_query(self, cycle: int) -> int | None:
        """Return what the query of a cycle cost; None if it is not over."""
        with self._open(_READ) as database:
            row = database.execute("select bought from query where cycle = ?", (cycle,)).fetchone()
        return None if row is None else int(row[0])

    def pending(self) -> list[Pending]:
        """Return what is asked for and not answered, in the order in which it was asked."""
        with self._open(_READ) as database:
            return _pending(database)

    def pending_for(self, annotator: str) -> list[Pending]:
        """Return what one person may answer: samples they have not voted on, each once."""
        with self._open(_READ) as database:
            rows = database.execute("select sample, annotator from said where label is not null")
            who = _person(annotator)
            own = {sample for sample, name in rows if _person(name) == who}
            found: dict[int, Pending] = {}
            for one in _pending(database):
                if one.sample not in own and self._may(annotator, one.purpose):
                    found.setdefault(one.sample, one)
        return list(found.values())

    def answer(
        self,
        labels: Iterable[tuple[int, int]],
        annotator: str,
        n_classes: int,
        receipts: Mapping[str, str] | None = None,
    ) -> int:
        """Write a person's answers down; see ``answer_all``.

        Args:
            labels: sample and class of each.
            annotator: who gives them.
            n_classes: how many classes there are.
            receipts: versions of the sources of the answers, by source; ``unseen`` knows them then.
        """
        said = [Said(sample, label, annotator) for sample, label in labels]
        return self.answer_all(said, n_classes, receipts)

    def answer_all(
        self, said: Iterable[Said], n_classes: int, receipts: Mapping[str, str] | None = None
    ) -> int:
        """Write answers down, all or none; one that is known already changes nothing.

        An answer goes to the person's own vote on the sample, if there is one. Else it goes to the
        first one that is open, and else it corrects the answer of a sample with a single vote.

        Args:
            said: the answers.
            n_classes: how many classes there are.
            receipts: versions of the sources of the answers, by source; ``unseen`` knows them then.

        Returns:
            How many of them are new, or differ from what was known.

        Raises:
            DeploymentError: an answer has no annotator, or a label that is none of the classes.
            NotNeededError: a label was not asked for, or not of this person.
        """
        with self._open() as database:
            changed = 0
            for one in said:
                try:
                    changed += self._answer(database, one, n_classes)
                except DeploymentError as error:
                    if not one.where:
                        raise
                    raise type(error)(f"{one.where}: {error}") from None
            database.executemany(
                "insert or replace into receipt values(?, ?)", (receipts or {}).items()
            )
        return changed

    def unseen(self, receipts: Mapping[str, str]) -> set[str]:
        """Return the sources that have not been taken in in this version."""
        with self._open(_READ) as database:
            known = dict(database.execute("select source, version from receipt"))
        return {source for source, version in receipts.items() if known.get(source) != version}

    def take_back(self, sample: int, annotator: str, vote: int | None = None) -> None:
        """Open a question again whose answer was wrong; both stay in the history.

        Args:
            sample: the sample.
            annotator: who takes it back.
            vote: which of its votes; the person's own, or the only one, if it is not given.

        Raises:
            DeploymentError: it was not asked, or has no answer.
        """
        with self._open() as database:
            votes = _ballot(database, sample)
            known = {one.number: one for one in votes if one.label is not None}
            own = [number for number, one in known.items() if one.is_of(annotator)]
            if vote is None and len(votes) > 1 and not own:
                raise DeploymentError(
                    f"{annotator!r} has no vote on sample {sample}, which has {len(known)}; say "
                    "with --vote which one is taken back."
                )
            if vote is None:
                vote = own[0] if own else 0
            if vote not in known:
                which = f"vote {vote}" if vote else "label"
                raise DeploymentError(f"Sample {sample} has no {which} to take back.")
            _add(database, sample, vote, None, annotator)

    def history(self) -> list[Answer]:
        """Return all answers in the order in which they came, those taken back included."""
        with self._open(_READ) as database:
            rows = database.execute(
                "select answer.sample, answer.vote, label, annotator, at, purpose, cycle, "
                "min(request.id) from answer join request using (sample, vote) "
                "group by answer.id order by answer.id"
            ).fetchall()
        return [Answer(*row[:-1]) for row in rows]

    def labels(self, samples: int) -> IntArray:
        """Return the label of each sample, ``NO_VOTE`` where there is none yet.

        It is what the first person says, if one is asked. It is what two say, if two are asked and
        agree, and what the adjudicator says, if they differ.

        Args:
            samples: how many samples the site has.

        Returns:
            Shape (samples,).
        """
        found = np.full(samples, NO_VOTE, dtype=np.int64)
        with self._open(_READ) as database:
            rows = database.execute(
                "select sample, vote, purpose, label from request left join said "
                "using (sample, vote) where vote = 0 or purpose in (?, ?)",
                (SECOND, ADJUDICATION),
            )
            said: dict[int, dict[str, int | None]] = {}
            for sample, vote, purpose, label in rows:
                said.setdefault(sample, {})[purpose if vote else _FIRST] = label
        for sample, votes in said.items():
            agreed = _agreed(votes)
            found[sample] = NO_VOTE if agreed is None else agreed
        return found

    def further(self, number: int, samples: int) -> IntArray:
        """Return the strategy's further votes of one number, ``NO_VOTE`` where there is none.

        Args:
            number: 1 for the first further vote on a sample, and so on.
            samples: how many samples the site has.

        Returns:
            Shape (samples,).
        """
        found = np.full(samples, NO_VOTE, dtype=np.int64)
        with self._open(_READ) as database:
            rows = database.execute(
                "select sample, label, row_number() over (partition by sample order by vote) "
                "from request left join said using (sample, vote) where purpose = ?",
                (FURTHER,),
            ).fetchall()
        for sample, label, place in rows:
            if place == number and label is not None:
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

    def _ask(
        self, database: sqlite3.Connection, samples: Sequence[int], purpose: str, cycle: int
    ) -> None:
        if purpose not in (*PURPOSES, EVALUATION) or purpose == FURTHER:
            raise DeploymentError(f"Unknown purpose {purpose!r}.")
        for sample in map(int, samples):
            _request(database, sample, 0, purpose, cycle)
            votes = _ballot(database, sample)
            if self._votes > 1 and not any(one.purpose == SECOND for one in votes):
                _request(database, sample, len(votes), SECOND, cycle)

    def _answer(self, database: sqlite3.Connection, said: Said, n_classes: int) -> bool:
        """Write one answer down, and return whether it is new or differs from what was known."""
        sample, label, who = said.sample, said.label, said.annotator.strip()
        if not who:
            raise DeploymentError("An answer needs an annotator; say who gives it.")
        if not 0 <= label < n_classes:
            raise DeploymentError(
                f"Sample {sample} has the label {label}; use 0 to {n_classes - 1}."
            )
        vote = self._vote_of(_ballot(database, sample), sample, who)
        if vote.label == label:
            return False
        _add(database, sample, vote.number, label, who)
        return True

    def _vote_of(self, votes: Sequence[_Vote], sample: int, annotator: str) -> _Vote:
        """Return the vote that a person's answer goes to; see ``answer``."""
        for one in votes:
            if one.label is not None and one.is_of(annotator):
                return one
        for one in votes:
            asked = one.label is None and (one.purpose != ADJUDICATION or _differ(votes))
            if asked and self._may(annotator, one.purpose):
                return one
        if len(votes) == 1:
            return votes[0]
        if not votes:
            raise NotNeededError(
                f"Nothing asked for the label of sample {sample}; label what falbench labels "
                "pending shows."
            )
        raise NotNeededError(
            f"Sample {sample} needs no vote of {annotator!r}; label what falbench labels pending "
            "shows with --annotator."
        )

    def _may(self, annotator: str, purpose: str) -> bool:
        """Whether a question is one for this person, whatever they have voted on."""
        if not self._adjudicators:
            return True
        return (_person(annotator) in self._adjudicators) == (purpose == ADJUDICATION)

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


_NO_SAMPLE: Final = 2**63
"""SQLite has no integers from here on."""
_FIRST: Final = "first-vote"
"""The vote of the person who is asked first, whatever for."""


@dataclass(frozen=True)
class _Vote:
    """One vote on a sample: asked for, and perhaps answered."""

    number: int
    purpose: str
    cycle: int
    label: int | None
    annotator: str | None

    def is_of(self, annotator: str) -> bool:
        return self.annotator is not None and _person(self.annotator) == _person(annotator)


def _person(name: str) -> str:
    """Return what two spellings of one name have in common."""
    return " ".join(name.split()).casefold()


def _ballot(database: sqlite3.Connection, sample: int) -> list[_Vote]:
    """Return all votes on a sample, in the order in which people were asked."""
    if abs(sample) >= _NO_SAMPLE:
        return []
    rows = database.execute(
        "select vote, purpose, cycle, label, annotator, min(request.id) from request left join "
        "(select vote, label, annotator, max(id) from answer where sample = ?1 group by vote) "
        "using (vote) where sample = ?1 group by vote order by vote",
        (sample,),
    )
    return [_Vote(*row[:-1]) for row in rows]


def _pending(database: sqlite3.Connection) -> list[Pending]:
    """Return what is open; where two people agree in the end, no decision is open."""
    rows = database.execute(
        "select sample, vote, purpose, cycle, asked from open_request order by id"
    )
    found = [Pending(*row) for row in rows]
    return [
        one
        for one in found
        if one.purpose != ADJUDICATION or _differ(_ballot(database, one.sample))
    ]


def _differ(votes: Sequence[_Vote]) -> bool:
    """Whether the two people who are asked about a sample have answered, and differ."""
    first = votes[0].label
    second = next((one.label for one in votes if one.number and one.purpose == SECOND), None)
    return first is not None and second is not None and first != second


def _agreed(said: Mapping[str, int | None]) -> int | None:
    """Return the label that votes come to, by purpose; None while it is open."""
    first, second = said.get(_FIRST), said.get(SECOND)
    if SECOND not in said or first == second:
        return first
    return None if None in (first, second) else said.get(ADJUDICATION)


def _request(
    database: sqlite3.Connection, sample: int, vote: int, purpose: str, cycle: int
) -> None:
    database.execute(
        "insert or ignore into request(sample, vote, purpose, cycle, asked) values(?, ?, ?, ?, ?)",
        (sample, vote, purpose, cycle, _now()),
    )


def _add(
    database: sqlite3.Connection, sample: int, vote: int, label: int | None, annotator: str
) -> None:
    """Add an answer, and ask an adjudicator if two people differ now."""
    database.execute(
        "insert into answer(sample, vote, label, annotator, at) values(?, ?, ?, ?, ?)",
        (sample, vote, label, annotator, _now()),
    )
    votes = _ballot(database, sample)
    by_purpose = {one.purpose: one for one in votes if one.number}
    if (second := by_purpose.get(SECOND)) is None:
        return
    differ = _differ(votes)
    third = by_purpose.get(ADJUDICATION)
    if differ and third is None:
        _request(database, sample, len(votes), ADJUDICATION, second.cycle)
    elif not differ and third is not None and third.annotator is None:
        # What was not answered is no longer asked; an answer stays, and is paid.
        database.execute(
            "delete from request where sample = ? and vote = ?", (sample, third.number)
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
