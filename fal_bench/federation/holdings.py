"""Who holds what on a task, before anything runs: one entry a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fal_bench.arrays import IntArray
from fal_bench.errors import InvalidSpecError
from fal_bench.task import Given, Task

if TYPE_CHECKING:
    import pandas as pd

    from fal_bench.data.base import Dataset
    from fal_bench.federation.setting import Setting

OTHER_SHARES = ("state", "warm_start", "agent")
"""Shares of a client's data beside its query pool."""


@dataclass(frozen=True, eq=False)
class Holdings:
    """What each client of a task holds, and how many labels it may buy.

    Attributes:
        task: the task.
        n_classes: classes of the data.
        names: what the clients are called; their numbers from 0 if they are drawn.
        pool: samples of each query pool, initial labels included; shape (clients,).
        classes: classes that occur in each query pool; shape (clients,).
        test: test samples of each client; None if the data do not say whose they are.
        initial: labels of each client at the start; shape (clients,).
        query: labels that each may buy in the first query; shape (clients,).
        at_cap: labels that each has at the budget cap if all are bought; shape (clients,).
        others: samples in each other share, by the share's name; shape (clients,) each.
        sizes: see ``Setting.sizes``; without that of the embedding until the model is built.
        unused: clients that the data come with where the task draws others; 0 if there are none.
    """

    task: Task
    n_classes: int
    names: tuple[str, ...]
    pool: IntArray
    classes: IntArray
    test: IntArray | None
    initial: IntArray
    query: IntArray
    at_cap: IntArray
    others: dict[str, IntArray]
    sizes: dict[str, int]
    unused: int = 0

    @classmethod
    def of(cls, setting: Setting, data: Dataset) -> Holdings:
        """Return what clients hold in a setting.

        Args:
            setting: partition, shares and initial labels of one seed.
            data: the data of the task as they were loaded.
        """
        labels = setting.dataset.train_labels.numpy()
        given = setting.dataset.clients if isinstance(setting.task.partition, Given) else None
        initial = np.array([len(own) for own in setting.initial])
        counts = {
            name: np.array([len(getattr(own, name)) for own in setting.shares])
            for name in ("pool", *OTHER_SHARES)
        }
        test = None if given is None else given.test
        clients = len(setting.shares)
        return cls(
            task=setting.task,
            n_classes=data.n_classes,
            names=tuple(map(str, range(clients))) if given is None else given.names,
            pool=counts.pop("pool"),
            classes=np.array([len(np.unique(labels[own.pool])) for own in setting.shares]),
            test=None if test is None else np.bincount(test, minlength=clients),
            initial=initial,
            query=setting.grants.granted(0),
            at_cap=initial + setting.grants.granted(len(setting.task.label_grid) - 2),
            others=counts,
            sizes=setting.smallest_shares,
            unused=0 if data.clients is None or given is not None else len(data.clients.names),
        )

    def check_chosen(self) -> None:
        """Check that a task says which clients it means, where the data come with some.

        Raises:
            InvalidSpecError: it says nothing, so that others would be drawn unnoticed.
        """
        if self.unused and "partition" not in self.task.model_fields_set:
            raise InvalidSpecError(
                f"Task {self.task.name!r}: data set {self.task.dataset!r} comes with "
                f"{self.unused} clients of its own, and the task does not say whether they are "
                'meant; write partition = { kind = "given" } for them, or partition = '
                '{ kind = "iid" } to draw others.'
            )

    def frame(self) -> pd.DataFrame:
        """Return a row a client.

        Returns:
            Columns ``client``, ``pool``, ``classes``, ``test`` if the data say whose test samples
            are, the other shares that the task has, ``initial``, ``query`` and ``at_cap``.
        """
        import pandas as pd

        columns = {"client": list(self.names), "pool": self.pool, "classes": self.classes}
        if self.test is not None:
            columns["test"] = self.test
        shares = {name: own for name, own in self.others.items() if getattr(self.task.shares, name)}
        labels = {"initial": self.initial, "query": self.query, "at_cap": self.at_cap}
        return pd.DataFrame({**columns, **shares, **labels})
