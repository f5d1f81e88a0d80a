"""What must follow from what in a folder of published results, without computing a run again.

Whatever a reader sees there (boards, page, rows, names, command) is rebuilt from the provenance,
the curves and the charges, and compared.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import math
import re
import shlex
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Literal

from fal_bench.errors import FalbenchError
from fal_bench.inputs.files import read_text
from fal_bench.learning.numerics import numerics_of
from fal_bench.publication.names import TITLE, misnamed
from fal_bench.publication.publishing import question_of
from fal_bench.reporting.answer import Comparison, answer
from fal_bench.reporting.export import to_csv
from fal_bench.reporting.page import page_version, render_page
from fal_bench.reporting.targets import BASELINE
from fal_bench.results.accounts import imbalance
from fal_bench.results.identity import SHOWN
from fal_bench.results.model import NOT_METRICS, Results
from fal_bench.results.record import (
    CHARGES_FILE,
    CURVES_FILE,
    FORMAT,
    LEADERBOARD,
    PAGE,
    Record,
    has_charges,
    moment,
)
from fal_bench.sweep.plan import compare_command

_RELATIVE = 1e-9
_ABSOLUTE = 1e-12
"""Of numbers with a fraction: sums may round otherwise with other versions of NumPy."""

_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)", re.ASCII)
_PLOTLY = re.compile(r'(<script type="application/gzip" id="plotly">)([A-Za-z0-9+/=]*)(</script>)')
_SHOWN_AROUND = 30
"""Characters of a text that are shown on each side of a difference."""


@dataclass(frozen=True)
class Check:
    """What came out of comparing published files with what follows from the others.

    Attributes:
        name: what was compared, in words.
        state: ``"unchecked"`` where another falbench wrote what cannot be rebuilt here.
        note: where they differ, or why it is unchecked; empty if they are the same.
    """

    name: str
    state: Literal["same", "unchecked", "differs"]
    note: str = ""


@dataclass(frozen=True)
class Published:
    """Published results as they were read.

    Attributes:
        folder: the folder.
        record: its provenance.
        results: its runs.
    """

    folder: Path
    record: Record
    results: Results

    def text(self, name: str) -> str:
        """Return the text of a file."""
        return read_text(self.folder / name)

    @cached_property
    def drawn(self) -> Comparison:
        """The boards that follow from the runs.

        Raises:
            FalbenchError, ValueError: the curves cannot be ranked.
        """
        results, question = self.results, question_of(self.record)
        command = self.record.command.removesuffix(f" {question.options()}")
        provenance = replace(results.provenance, command=command)
        return answer(question, replace(results, provenance=provenance))


def contradictions(published: Published) -> tuple[Check, ...]:
    """Compare everything that a folder shows with what it rests on.

    Raises:
        UnreadableFileError: a file cannot be read.
    """
    checks = [
        _check(name, find(published))
        for name, find in _CHECKS.items()
        if find is not imbalance_of or has_charges(published.record)
    ]
    checks.insert(1, _names(published))
    if any(check.state == "differs" for check in checks):
        return tuple(checks)  # what is drawn from wrong curves says no more
    try:
        drawn = published.drawn
    except (FalbenchError, ValueError) as error:
        return (*checks, _check("board and page", f"the curves cannot be ranked ({error})"))
    return (*checks, _board(published, drawn), _page(published, drawn))


def _names(published: Published) -> Check:
    """Whether names of this falbench are used for what it means by them.

    What another numerics version meant by them is not known here.
    """
    name = "tasks under the names that ship"
    version = published.record.numerics
    ours = numerics_of(published.record.device)
    if version != ours:
        note = f"they are of numerics version {version}, and here is version {ours}"
        return Check(name, "unchecked", note)
    return _check(name, misnamed(published.results.tasks["spec"], published.record.suite))


def _check(name: str, difference: str) -> Check:
    return Check(name, "differs" if difference else "same", difference)


# Each of the following says where something does not follow; empty if it does.


def _writing(published: Published) -> str:
    """Whether the files are, to the byte, what falbench writes of what was read from them."""
    results, record = published.results, published.record
    written = {CURVES_FILE: to_csv(results.shown_curves())}
    if has_charges(record):
        written[CHARGES_FILE] = to_csv(results.shown_charges())
    for name, text in written.items():
        found, expected = (one.split("\n") for one in (published.text(name), text))
        if record.format < FORMAT:  # rows of charges were in another order
            found, expected = sorted(found), sorted(expected)
        lines = zip_longest(found, expected)
        for number, (there, here) in enumerate(lines, 1):
            if there != here:
                return f"line {number} of {name} is not as falbench writes it"
    return ""


def _provenance(published: Published) -> str:
    record, results = published.record, published.results
    if record.seeds != tuple(range(record.seeds[0], record.seeds[0] + len(record.seeds))):
        return "seeds are left out, and those of a comparison follow each other"
    if record.environments and sum(one.runs for one in record.environments) != record.n_runs:
        return "the environments do not add up to the runs"
    seconds = results.curves[["train_seconds", "select_seconds"]].to_numpy(float).sum()
    if not abs(seconds - record.compute_seconds) <= 0.11:  # it is rounded to a tenth
        return f"compute_seconds {record.compute_seconds}, and the curves have {seconds:.1f}"
    first, last, published_at = map(
        moment, (record.first_finished, record.last_finished, record.published)
    )
    if not first <= last <= published_at:
        return "the results were published, or runs finished, before others"
    if record.baseline not in {BASELINE, *(row.label for row in record.strategies)}:
        return f"the baseline {record.baseline!r} is none of the strategies"
    metrics = {name for name in results.curves if name not in NOT_METRICS}
    if (record.metrics or record.format == FORMAT) and set(record.metrics) != metrics:
        return "its metrics are not those of the curves"
    return ""


def _command(published: Published) -> str:
    record = published.record
    try:
        words = shlex.split(record.command)
    except ValueError:
        return "it is no command line"
    named = dict(pairwise(words))
    suite, task = named.get("--suite"), named.get("--task")
    rebuilt = compare_command(
        suite=suite,
        task=task,
        device=record.device,
        strategies=[row.label for row in record.strategies],
        seeds=record.seeds,
    )
    if record.command != f"{rebuilt} {question_of(record).options()}":
        return f"{record.command!r} does not lead to these runs and this question"
    title = TITLE.fullmatch(record.suite)
    asked = task or (Path(suite).stem if suite else "")
    if title is None or asked != title["name"]:
        return f"{record.command!r} does not compute {record.suite!r}"
    return ""


def _beginnings(published: Published) -> str:
    """Whether runs differ before any choice: the first model of a seed is the same for all.

    Bits are promised for one environment alone.
    """
    results = published.results
    if len(results.environments) > 1:
        return ""
    metrics = [name for name in results.curves if name not in NOT_METRICS]
    columns = ["trainer", "trainer_parameters", "trainer_fingerprint"]
    first = results.curves[results.curves["cycle"] == 0]
    first = first.merge(results.here[["key", *SHOWN, *columns]], on="key")
    apart = first.groupby(["task", "seed", *columns])[metrics].nunique() > 1
    if not apart.to_numpy().any():
        return ""
    where = apart[apart.any(axis=1)].iloc[0]
    task, seed, *_ = apart[apart.any(axis=1)].index[0]
    return f"{task}, seed {seed}: strategies differ in {where[where].index[0]} before any choice"


def imbalance_of(published: Published) -> str:
    """Say where the charges do not add up to the labels of the curves."""
    results = published.results
    return imbalance(results.shown_curves(), results.shown_charges())


_CHECKS: dict[str, Callable[[Published], str]] = {
    "files as falbench writes them": _writing,
    "provenance": _provenance,
    "command line": _command,
    "curves of a seed begin alike": _beginnings,
    "charges added up": imbalance_of,
}


# Board and page, drawn again.


def _board(published: Published, drawn: Comparison) -> Check:
    name = "leaderboard ranked again from the curves"
    try:
        there = list(csv.reader(io.StringIO(published.text(LEADERBOARD))))
    except csv.Error as error:
        return _check(name, f"it is no table ({error})")
    here = list(csv.reader(io.StringIO(to_csv(drawn.leaderboard))))
    heading = there[0] if there else []
    lacking = [column for column in here[0] if column not in heading]
    if lacking and (same_drawing(published.record) or not set(heading) <= set(here[0])):
        return _check(name, "it has other columns")
    places = [here[0].index(column) for column in heading if column in here[0]]
    ranked = [[row[place] for place in places] for row in here]
    if wrong := _rows_differ(there, ranked):
        return _check(name, wrong)
    if lacking:
        note = f"an older falbench wrote it, without {', '.join(lacking)}"
        return Check(name, "unchecked", note)
    return Check(name, "same")


def _rows_differ(there: Sequence[Sequence[str]], here: Sequence[Sequence[str]]) -> str:
    if len(there) != len(here):
        return f"{len(there) - 1} rows published, {len(here) - 1} ranked again"
    if there[0] != here[0]:
        return "it has other columns"
    for number, (published, ranked) in enumerate(zip(there[1:], here[1:], strict=True), 2):
        for column, old, new in zip_longest(here[0], published, ranked, fillvalue=""):
            if not _alike(old, new):
                name = dict(zip(here[0], ranked, strict=True)).get("strategy", "")
                return f"line {number}, {name}, {column}: {old} published, {new} ranked again"
    return ""


def _page(published: Published, drawn: Comparison) -> Check:
    name = "page drawn again from the curves"
    there, here = published.text(PAGE), render_page(drawn)
    wrong = page_difference(there, here)
    if wrong and not same_drawing(published.record):
        note = (
            f"another falbench ({published.record.falbench}) drew it; falbench publish "
            f"{shlex.quote(str(published.folder))} --to FOLDER shows what this one draws"
        )
        return Check(name, "unchecked", note)
    return _check(name, wrong)


def same_drawing(record: Record) -> bool:
    """Whether the code of this installation drew the board and the page, as the record says."""
    return record.drawn == page_version()


def page_difference(there: str, here: str) -> str:
    """Say where two pages differ: numbers with a fraction to nine digits, all else exactly.

    Args:
        there: a page.
        here: the page that should be the same.
    """
    if not _same_library(there, here):
        return "it has another drawing library"
    lines = zip_longest(
        *(_PLOTLY.sub(r"\1\3", page, count=1).split("\n") for page in (there, here))
    )
    for number, (old, new) in enumerate(lines, 1):
        if old is None or new is None:
            return f"line {number}: it ends there, or should"
        if not _alike(old, new):
            return f"line {number}: {_around(old, new)}"
    return ""


def _same_library(there: str, here: str) -> bool:
    """Whether two pages have the same drawing library; other versions of zlib pack it otherwise."""
    packed, own = (_PLOTLY.search(page) for page in (there, here))
    if packed is None or own is None:
        return False
    if packed[2] == own[2]:
        return True
    library = gzip.decompress(base64.b64decode(own[2]))
    unpacking = zlib.decompressobj(wbits=31)
    try:
        found = unpacking.decompress(base64.b64decode(packed[2], validate=True), len(library) + 1)
    except (ValueError, zlib.error):
        return False
    return found == library and unpacking.eof and not unpacking.unused_data


def _alike(there: str, here: str) -> bool:
    if there == here:
        return True
    old, new = _NUMBER.split(there), _NUMBER.split(here)
    return len(old) == len(new) and all(map(_same_part, old, new))


def _same_part(old: str, new: str) -> bool:
    if old == new:
        return True
    if not (_NUMBER.fullmatch(old) and _NUMBER.fullmatch(new)) or not {".", "e"} & {*old, *new}:
        return False
    return math.isclose(float(old), float(new), rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def _around(there: str, here: str) -> str:
    """Show two texts around their first difference."""
    places = (at for at, (old, new) in enumerate(zip_longest(there, here)) if old != new)
    start = max(0, next(places, 0) - _SHOWN_AROUND)
    old, new = (text[start : start + 2 * _SHOWN_AROUND] for text in (there, here))
    return f"{old!r} published, {new!r} drawn again"
