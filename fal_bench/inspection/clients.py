"""Who holds what on a task, as a table of few rows, and what a user would stumble over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fal_bench.errors import one_line
from fal_bench.federation.holdings import Holdings
from fal_bench.task import Given, ServerAllotment

if TYPE_CHECKING:
    import numpy.typing as npt
    from rich.console import Console, ConsoleOptions, RenderResult

SHOWN_CLIENTS: Final = 8
_EXTREMES: Final = 2
_NAMED: Final = 4

_HEADINGS: Final = {"pool": "samples", "warm_start": "warm start", "at_cap": "at cap"}
"""What a column is called where it is not by its own name."""


@dataclass(frozen=True)
class ClientTable:
    """A federation as the terminal shows it.

    Attributes:
        holdings: who holds what.
    """

    holdings: Holdings

    @property
    def rows(self) -> list[int]:
        """The clients that are shown: the smallest, the largest and the first ones, in order."""
        pool = self.holdings.pool
        by_size = np.argsort(pool, kind="stable").tolist()
        wanted = [*by_size[:_EXTREMES], *by_size[-_EXTREMES:], *range(len(pool))]
        return sorted(list(dict.fromkeys(wanted))[:SHOWN_CLIENTS])

    @property
    def remarks(self) -> list[str]:
        """What a user would stumble over, a sentence each."""
        held, task = self.holdings, self.holdings.task
        single = self._few(held.classes == 1)
        short = self._few(held.initial + held.query == held.pool)
        at_most = getattr(task.allotment, "at_most", None)
        limit = "" if at_most is None else f", at most {at_most} a client"
        found = {
            f"Clients with one class: {single}.": bool(single),
            f"Clients without a sample left after one query: {short}; others buy more.": bool(
                short
            ),
            "No client has test samples of its own, so metrics by client are not recorded.": (
                isinstance(task.partition, Given)
                and not task.partition.target
                and held.test is None
            ),
            f"Strategies that allot divide the labels of a query themselves{limit}.": (
                isinstance(task.allotment, ServerAllotment)
            ),
        }
        return [text for text, holds in found.items() if holds]

    def _few(self, chosen: npt.NDArray[np.bool_]) -> str:
        """Return how many clients are chosen, and the names of a few; empty if there are none."""
        numbers = np.flatnonzero(chosen)
        names = [one_line(self.holdings.names[number]) for number in numbers[:_NAMED]]
        more = ", ..." if len(numbers) > _NAMED else ""
        return f"{len(numbers)} of {len(chosen)} ({', '.join(names)}{more})" if names else ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show the task, the table and the remarks."""
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        held, rows = self.holdings, self.rows
        clients = len(held.names)
        drawn = "" if isinstance(held.task.partition, Given) else ", as drawn for seed 0"
        yield Text(f"{held.task.name}: {clients} clients, {held.n_classes} classes{drawn}")
        frame = held.frame().iloc[rows].astype(str)
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in frame.columns:
            table.add_column(
                _HEADINGS.get(name, name), justify="left" if name == "client" else "right"
            )
        for row in frame.itertuples(index=False):
            table.add_row(*(Text(one_line(cell)) for cell in row))
        yield Padding.indent(table, 2)
        if clients > len(rows):
            yield Text(f"  and {clients - len(rows)} others")
        for remark in self.remarks:
            yield Text(f"  {remark}")
