"""Labels out and in: a table, a folder of images, and back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from fal_bench.deploy.config import Federation, read_federation, read_site
from fal_bench.deploy.labels import LabelStore, Pending, Said
from fal_bench.deploy.messages import DeploymentError
from fal_bench.deploy.samples import Samples, read_samples
from fal_bench.inputs.cells import guarded
from fal_bench.inputs.files import read_text
from fal_bench.results.files import write_bytes

COLUMNS: Final = ("sample", "name", "purpose", "cycle", "asked", "label")
TABLE: Final = "to-label.csv"
UNSORTED: Final = "unsorted"
"""Folder of the images that have no label yet."""

_MOST_DIGITS: Final = 18  # of the number of a sample


class Desk:
    """What people who label at a site need: its questions, its samples, and its classes.

    Args:
        federation: the federation's file.
        site: the site's file.

    Raises:
        DeploymentError: a file cannot be used.
    """

    def __init__(self, federation: Path, site: Path) -> None:
        self._config = read_site(site)
        self.federation: Federation = read_federation(federation)
        self.federation.number(self._config.name)
        self.name = self._config.name
        self.classes = self.federation.classes
        self.votes = self._config.votes
        self.store = LabelStore(self._config.store, self._config.votes, self._config.adjudicators)
        self._samples: Samples | None = None

    @property
    def samples(self) -> Samples:
        """The site's samples.

        Raises:
            DeploymentError: they cannot be read, or are not those that the site began with.
        """
        if self._samples is None:
            self._samples = read_samples(self.federation, self._config, self.store)
        return self._samples

    def questions(self, annotator: str | None = None) -> list[Pending]:
        """Return the open questions, each sample once, in the order in which they were asked.

        Args:
            annotator: who will answer: what they have voted on is left out. Everybody if None.
        """
        if annotator is not None:
            return self.store.pending_for(annotator)
        return list({one.sample: one for one in reversed(self.store.pending())}.values())[::-1]

    def answer(
        self, sample: int, label: str, annotator: str, receipts: Mapping[str, str] | None = None
    ) -> bool:
        """Write one answer down, and return whether it is new.

        Args:
            sample: number of the sample.
            label: name of the class.
            annotator: who says so.
            receipts: where it comes from; see ``LabelStore.answer``.

        Raises:
            DeploymentError: it is none of the classes.
            NotNeededError: it was not asked for.
        """
        labels = [(sample, self._number(label, f"sample {sample}"))]
        return self.store.answer(labels, annotator, len(self.classes), receipts) > 0

    def table(self, annotator: str | None = None) -> str:
        """Return the open questions as a CSV table with an empty column ``label``.

        Args:
            annotator: who will answer; everybody if None.
        """
        buffer = io.StringIO()
        out = csv.writer(buffer, lineterminator="\n")
        out.writerow(COLUMNS)
        for one in self.questions(annotator):
            name = guarded(self.samples.names[one.sample])
            out.writerow([one.sample, name, one.purpose, one.cycle, one.asked, ""])
        return buffer.getvalue()

    def export(self, folder: Path, annotator: str | None = None) -> int:
        """Write the open questions as a table and, of pictures, one folder a class to sort into.

        Args:
            folder: where to; what is there stays.
            annotator: who will answer; everybody if None.

        Returns:
            How many samples there are to label.

        Raises:
            DeploymentError: there is a table with labels in it, or one that cannot be read.
        """
        table = folder / TABLE
        if table.exists() and any(_label(row) for row in _rows(table)):
            raise DeploymentError(
                f"{str(table)!r} holds labels; import and then delete it, or name another folder."
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(table, self.table(annotator).encode())
        questions = self.questions(annotator)
        pictures = [(one.sample, self.samples.picture(one.sample)) for one in questions]
        if any(picture is not None for _, picture in pictures):
            for name in (UNSORTED, *self._folders()):
                (folder / name).mkdir(exist_ok=True)
        for sample, picture in pictures:
            if picture is not None:
                ending = media_type(picture).removeprefix("image/")
                (folder / UNSORTED / f"{sample}.{ending}").write_bytes(picture)
        return len(questions)

    def import_table(self, path: Path, annotator: str) -> int:
        """Read answers from a table with the columns sample and label; empty labels are left out.

        Args:
            path: the CSV file; a column annotator is optional.
            annotator: who gave them, where the table does not say.

        Returns:
            How many are new or changed.

        Raises:
            DeploymentError: the table cannot be read, or a row cannot be used; the line is named,
                and nothing is written then.
        """
        said = []
        for line, row in enumerate(_rows(path), start=2):
            if not (label := _label(row)):
                continue
            where = f"{str(path)!r}, line {line}"
            number = self._number(label, where)
            sample = _whole(row["sample"] or "", where, "sample")
            said.append(Said(sample, number, row.get("annotator") or annotator, where))
        return self.store.answer_all(said, len(self.classes))

    def import_folder(self, folder: Path, annotator: str) -> int:
        """Read answers from images that were sorted into one folder a class.

        Args:
            folder: what ``export`` wrote.
            annotator: who sorted them.

        Returns:
            How many are new or changed.

        Raises:
            DeploymentError: a file is none of those that were written out.
        """
        labels = []
        for number, name in enumerate(self._folders()):
            for path in sorted((folder / name).glob("*")):
                sample, _, _ = path.stem.partition("-")
                labels.append((_whole(sample, repr(str(path)), "sample"), number))
        return self._write(labels, annotator)

    def _folders(self) -> Sequence[str]:
        """Return the folder of each class: its number and name, as far as files can be called."""
        return [f"{number}-{_safe(name)}" for number, name in enumerate(self.classes)]

    def _number(self, label: str, where: str) -> int:
        if label not in self.classes:
            shown = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
            raise DeploymentError(f"{where}: {label!r} is no class; choose from: {shown}.")
        return self.classes.index(label)

    def _write(self, labels: list[tuple[int, int]], annotator: str) -> int:
        return self.store.answer(labels, annotator, len(self.classes))


def history_table(desk: Desk) -> Iterator[str]:
    """Yield who said what and when, one line an answer, those taken back included."""
    for one in desk.store.history():
        label = "(taken back)" if one.label is None else desk.classes[one.label]
        asked = f"sample {one.sample}  vote {one.vote} ({one.purpose} of cycle {one.cycle})"
        yield f"{one.at}  {asked}  {label}  by {one.annotator}"


def _rows(path: Path) -> list[dict[str, str | None]]:
    """Return the rows of a table of labels."""
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path, links=True))))
    except csv.Error as error:
        raise DeploymentError(f"Cannot read {str(path)!r}: {error}.") from None
    if rows and (missing := {"sample", "label"} - set(rows[0])):
        raise DeploymentError(f"{str(path)!r} has no column {min(missing)!r}; add it.")
    return rows


def _label(row: Mapping[str, str | None]) -> str:
    return (row["label"] or "").strip()


def _whole(text: str, where: str, what: str) -> int:
    if not text.strip().isdecimal() or len(text.strip()) > _MOST_DIGITS:
        raise DeploymentError(f"{where}: {what} is {text!r}; use the number that was written out.")
    return int(text)


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def media_type(picture: bytes) -> str:
    """Return what kind of file a picture is, as browsers call it."""
    return "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"
