"""Tables: how the columns of a CSV or Parquet file become features, classes and a test part.

Whatever is fitted (means, deviations, categories) is fitted on the training rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from fal_bench.arrays import FloatArray, IntArray
from fal_bench.data.clients import GivenClients
from fal_bench.data.folders import own_path, where_looked
from fal_bench.data.prepared import Part, Source, file_checksum, stamp
from fal_bench.data.scaling import standardised
from fal_bench.errors import DataError, InvalidSpecError
from fal_bench.inputs.cells import LONGEST_NAME, twins
from fal_bench.inputs.files import MissingFileError, UnreadableFileError, opened
from fal_bench.inputs.limits import MOST_CATEGORIES, MOST_CLASSES
from fal_bench.isolation.memory import free_bytes

if TYPE_CHECKING:
    from pandas import DataFrame, Index, Series

_SPLIT_SEED: Final = 2027
"""Fixed for good: another value would be another data set under the same name."""

_READING: Final = 2
"""Raised when the same file is read as other samples, so that prepared copies are made again."""

_BYTES_A_BYTE: Final = 8
"""Memory that a byte of a file may take while it is read."""

TAB: Final = "tab"
"""How a separator is written that no selector can hold."""

_SHOWN: Final = 8
"""Names that a message lists."""


@dataclass(frozen=True)
class TableFiles:
    """One or two files of a table, and what their columns are.

    Attributes:
        path: the file; a relative path is one in the data folder.
        label: name of the column of classes.
        client: name of the column that says whose a row is; None if there is none.
        test_path: a file with the test rows; None if they are drawn.
        test_fraction: share of the rows that are drawn for testing.
        separator: what stands between two cells of a CSV file; ``"tab"`` for a tab.
    """

    path: Path
    label: str
    client: str | None = None
    test_path: Path | None = None
    test_fraction: float = 0.2
    separator: str = ","

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the files are."""
        return tuple(own_path(path) for path in (self.path, self.test_path) if path is not None)

    @property
    def stamps(self) -> list[list[int]]:
        """What changes whenever one of the files is written, or is read in another way.

        Raises:
            DataError: one of them is not there.
        """
        try:
            return [[_READING], *(stamp(path.stat()) for path in self.paths)]
        except OSError as error:
            given = self.path if str(error.filename) == str(self.paths[0]) else self.test_path
            assert given is not None
            raise DataError(
                f"Cannot read {where_looked(given)}: {error.strerror}; check the path."
            ) from None

    @property
    def digest(self) -> str:
        """A digest of the content of the files."""
        return " ".join(file_checksum(path) for path in self.paths)

    def place(self, **more: Any) -> dict[str, Any]:
        """Return what a prepared copy is found by: these facts and others, as JSON values."""
        facts = {name: value for name, value in asdict(self).items() if "path" not in name}
        return {**facts, "paths": list(map(str, self.paths)), **more}

    def read(self) -> Table:
        """Read the rows.

        Raises:
            DataError: a file cannot be read.
            InvalidSpecError: a column is missing, or the files do not agree.
        """
        import pandas as pd

        frame, *more = (read_frame(path, self.separator) for path in self.paths)
        table = Table(self.paths[0], frame, self.label, self.client)
        table.check_columns([self.label, *([self.client] if self.client else [])])
        for test in more:
            self._check_alike(frame, test)
            both = pd.concat([frame, test[frame.columns]], ignore_index=True)
            return replace(table, frame=both, given_train=len(frame))
        return table

    def _check_alike(self, frame: DataFrame, test: DataFrame) -> None:
        one, other = self.paths
        if missing := [name for name in frame.columns if name not in test.columns]:
            _refuse(other, f"lacks the column {missing[0]!r}, which {str(one)!r} has")
        for name in frame.columns:
            if _is_number(frame[name]) != _is_number(test[name]):
                _refuse(
                    other,
                    f"and {str(one)!r} do not agree: one has text in column {name!r}, the "
                    "other has numbers",
                )


@dataclass(frozen=True)
class Table:
    """The rows of one or two files, with one column of classes.

    Attributes:
        where: the file, for messages.
        frame: all rows, the training file's first.
        label: name of the column of classes.
        client: name of the column that says whose a row is; None if there is none.
        given_train: rows of the training file if a test file was given; None if the test part is
            to be drawn.
    """

    where: Path
    frame: DataFrame
    label: str
    client: str | None = None
    given_train: int | None = None

    def check_columns(self, names: Sequence[str]) -> None:
        """Check that columns are there.

        Raises:
            InvalidSpecError: one is not.
        """
        for name in names:
            if name not in self.frame.columns:
                found = _listed([str(column) for column in self.frame.columns])
                _refuse(
                    self.where,
                    f"has no column {name!r}; its columns are: {found} (if that is only one, "
                    "say what separates columns, as in separator=; or separator=tab)",
                )

    @cached_property
    def classes(self) -> IntArray:
        """The class of each row: the labels of the training rows in order, counted from 0."""
        values = self._names_in(self.label)
        named = np.unique(values if self.given_train is None else values[: self.given_train])
        if not 2 <= len(named) <= MOST_CLASSES:
            self._refuse_column(
                self.label,
                f"has {len(named)} different values, and a label has 2 to {MOST_CLASSES}",
            )
        self._check_twins(self.label, "classes", values)
        numbers = np.searchsorted(named, values).clip(max=len(named) - 1)
        if (strange := named[numbers] != values).any():
            value = values[int(np.argmax(strange))]
            self._refuse_column(self.label, f"has the class {value!r} in no training row")
        return numbers.astype(np.int64)

    @cached_property
    def owners(self) -> NDArray[Any] | None:
        """The name of the client of each row, integers or texts; None if there are none."""
        if self.client is None:
            return None
        names = self._names_in(self.client)
        self._check_twins(self.client, "clients", names)
        return names

    def _names_in(self, name: str) -> NDArray[Any]:
        """Return what a column names, classes or clients: whole numbers, or texts."""
        column = self.frame[name]
        self._check_missing(column)
        values = column.to_numpy()
        if values.dtype.kind in "iuf":
            # A column with a gap that was filled, or taken out, holds 1.0 for 1.
            with np.errstate(invalid="ignore"):
                whole = values.astype(np.int64)
            if (whole == values).all():
                return whole
        texts = column.astype(str)
        if (longest := int(texts.str.len().max())) > LONGEST_NAME:
            self._refuse_column(
                name,
                f"has a text of {longest} characters, and names of classes and clients have at "
                f"most {LONGEST_NAME}; name another column",
            )
        return texts.to_numpy(dtype=str)

    def split(self, test_fraction: float) -> tuple[IntArray, IntArray]:
        """Return the training and the test rows, each in a fixed random order."""
        if self.given_train is None:
            return drawn_split(self.classes, self.owners, test_fraction)
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(self.frame))
        first = order < self.given_train
        return order[first], order[~first]

    def inputs(self, dropped: Sequence[str]) -> DataFrame:
        """Return the columns that a model sees.

        Raises:
            InvalidSpecError: a column that is to be dropped is not there, or none is left.
        """
        self.check_columns(dropped)
        unseen = [*dropped, self.label, *([self.client] if self.client else [])]
        frame = self.frame.drop(columns=unseen)
        if frame.shape[1] == 0:
            _refuse(self.where, "has no columns beside those of labels and clients")
        return frame

    def texts(self, name: str) -> list[str]:
        """Return the texts of a column.

        Raises:
            InvalidSpecError: it is not there, or a text is missing.
        """
        self.check_columns([name])
        self._check_missing(self.frame[name])
        return list(map(str, self.frame[name]))

    def encoded(self, frame: DataFrame, categories: Sequence[str], train: IntArray) -> FloatArray:
        """Return features: numbers with mean 0 and deviation 1, other columns one-hot.

        A category that no training row has is a row of zeros.

        Args:
            frame: the columns that a model sees.
            categories: columns of numbers that name categories, as a postcode does.
            train: the training rows.

        Returns:
            Shape (rows, features).

        Raises:
            InvalidSpecError: a value is missing or infinite, or a column is none of numbers,
                categories or text.
        """
        self.check_columns(categories)
        widths, parts = 0, []
        for name in frame.columns:
            column = frame[name]
            self._check_missing(column)
            if _is_number(column) and name not in categories:
                part = self._standardised(column, train)
            else:
                part = self._one_hot(column, train, named=name in categories)
            widths += part.shape[1]
            if widths * len(frame) * _BYTES_A_BYTE > free_bytes():
                _refuse(self.where, "does not fit into memory; drop columns with many categories")
            parts.append(part)
        return np.concatenate(parts, axis=1)

    def source(self, features: FloatArray, train: IntArray, test: IntArray, digest: str) -> Source:
        """Return the data set, whose samples are vectors.

        Args:
            features: of all rows, shape (rows, features).
            train: the training rows.
            test: the test rows.
            digest: what identifies the content.
        """
        samples = features[:, :, None, None]
        parts = [Part.of(samples, self.classes, rows) for rows in (train, test)]
        n_classes, clients = int(self.classes.max()) + 1, self._clients(train, test)
        return Source(parts[0], parts[1], n_classes, digest, clients=clients)

    def _clients(self, train: IntArray, test: IntArray) -> GivenClients | None:
        """Return the clients; test rows are theirs if every client has some."""
        if self.owners is None:
            return None
        tested = self.owners[test]
        all_tested = bool(np.isin(self.owners[train], tested).all())
        try:
            return GivenClients.named(self.owners[train], tested if all_tested else None)
        except ValueError as error:
            _refuse(self.where, str(error))

    def _standardised(self, column: Series[Any], train: IntArray) -> FloatArray:
        values = column.to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            row = int(np.argmax(~np.isfinite(values))) + 1
            self._refuse_column(column.name, f"has an infinite value in row {row}")
        if np.abs(values).max() > np.finfo(np.float32).max:
            self._refuse_column(column.name, "has values that are too large for float32")
        return standardised(values[train, None], values[:, None])[1]

    def _one_hot(self, column: Series[Any], train: IntArray, named: bool) -> FloatArray:
        import pandas as pd

        if pd.api.types.is_datetime64_any_dtype(column) or column.dtype.kind in "mc":
            self._refuse_column(
                column.name, f"is of type {column.dtype}; write it as a number, or drop the column"
            )
        values = column.astype(str).to_numpy(dtype=object)
        if not named:
            self._check_mixed(column.name, values)
        known = np.unique(values[train])
        if len(known) > MOST_CATEGORIES:
            self._refuse_column(
                column.name,
                f"has {len(known)} different texts, and a column of categories has at most "
                f"{MOST_CATEGORIES}; drop it, or group its values",
            )
        codes = pd.Index(known).get_indexer(pd.Index(values))
        return np.asarray(codes[:, None] == np.arange(len(known)), dtype=np.float32)

    def _check_mixed(self, name: object, values: Any) -> None:
        """Refuse text among numbers, which is probably a sign for a missing value."""
        import pandas as pd

        number = pd.to_numeric(pd.Series(values), errors="coerce").notna().to_numpy()
        if number.any() and not number.all():
            row = int(np.argmin(number))
            self._refuse_column(
                name,
                f"holds numbers, and {values[row]!r} in row {row + 1}; fill in or remove it, or "
                "name the column in categories",
            )

    def _check_twins(self, name: str, what: str, values: NDArray[Any]) -> None:
        if found := twins(map(str, np.unique(values))):
            self._refuse_column(
                name,
                f"has the {what} {found[0]!r} and {found[1]!r}, which differ in case or blanks "
                "alone; write one name for one, and names that differ more for two",
            )

    def _check_missing(self, column: Series[Any]) -> None:
        missing = column.isna().to_numpy()
        if missing.any():
            self._refuse_column(
                column.name,
                f"has {int(missing.sum())} missing values, the first one in row "
                f"{int(np.argmax(missing)) + 1}; fill them in, or remove these rows or the column",
            )

    def _refuse_column(self, name: object, complaint: str) -> NoReturn:
        raise InvalidSpecError(f"Column {name!r} of {str(self.where)!r} {complaint}.")


def drawn_split(
    classes: IntArray, owners: NDArray[Any] | None, test_fraction: float
) -> tuple[IntArray, IntArray]:
    """Draw a test part, the same in every run, that has each client's and class's share.

    One training sample of each class and of each client stays out of the draw, so that none
    of them is in the test part alone. The others are sorted by client and class, in random order
    within both, and every k-th is drawn.

    Args:
        classes: the class of each row; shape (n,).
        owners: the client of each row; None if there are none.
        test_fraction: share of the rows that are drawn.

    Returns:
        Training and test rows, each in random order.
    """
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(classes))
    kept = np.zeros(len(classes), dtype=bool)
    groups = [classes] if owners is None else [classes, owners]
    for group in groups:
        kept[order[np.unique(group[order], return_index=True)[1]]] = True
    free = order[~kept[order]]
    free = free[np.lexsort([group[free] for group in groups])]
    count = min(round(test_fraction * len(classes)), len(free))
    drawn = np.zeros(len(classes), dtype=bool)
    drawn[free[((np.arange(count) + 0.5) * len(free) / max(count, 1)).astype(np.int64)]] = True
    return order[~drawn[order]], order[drawn[order]]


def read_frame(path: Path, separator: str = ",", header: bool = True) -> DataFrame:
    """Read a CSV file, or a Parquet file if its name ends in ``.parquet``.

    Args:
        path: the file.
        separator: what stands between two cells of a CSV file; ``"tab"`` for a tab.
        header: whether the first line of a CSV file holds the columns' names.

    Raises:
        DataError: the file cannot be read, or a package to read it is missing.
    """
    import pandas as pd

    try:
        with opened(path, most=free_bytes() // _BYTES_A_BYTE, links=True) as file:
            if path.suffix == ".parquet":
                frame = pd.read_parquet(file)
            else:

                def read(**options: Any) -> DataFrame:
                    between = "\t" if separator == TAB else separator
                    frame: DataFrame = pd.read_csv(
                        file, sep=between, encoding="utf-8-sig", **options
                    )
                    return frame

                if header:
                    _check_names(path, read(header=None, nrows=1, dtype=str).iloc[0].dropna())
                    file.seek(0)
                # With low memory a column is read piece by piece, of several types.
                frame = read(header=0 if header else None, low_memory=False)
    except MissingFileError:
        raise DataError(f"There is no file {where_looked(path)}; check the path.") from None
    except UnreadableFileError as error:
        raise DataError(str(error)) from None
    except ImportError:
        raise DataError(
            f"To read {str(path)!r} run pip install 'falbench[parquet]', or save it as CSV."
        ) from None
    except (ValueError, OSError, OverflowError, RecursionError, NotImplementedError) as error:
        first = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "empty"
        raise DataError(f"Cannot read {str(path)!r} as a table ({first}).") from None
    if len(frame) == 0:
        raise DataError(f"{str(path)!r} has no rows.")
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{str(path)!r} has more cells in its rows than names of columns.")
    frame.columns = list(map(str, frame.columns))
    _check_names(path, frame.columns)
    return frame


def _check_names(path: Path, names: Series[str] | Index[str]) -> None:
    """Refuse two columns of one name; pandas calls the second ``name.1``, and it would be used."""
    if not names.is_unique:
        twice = names[names.duplicated()].tolist()
        raise DataError(f"{str(path)!r} has two columns of the name {twice[0]!r}.")


def _is_number(column: Series[Any]) -> bool:
    return column.dtype.kind in "iufb"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown + (", ..." if len(names) > _SHOWN else "")


def _refuse(path: Path, complaint: str) -> NoReturn:
    raise InvalidSpecError(f"{str(path)!r} {complaint}.")
