"""The result of an inspection, which shows itself on the terminal, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from fal_bench.federation.holdings import Holdings
from fal_bench.inspection.clients import ClientTable
from fal_bench.inspection.facts import Finding, Grade, Verdict, verdict
from fal_bench.inspection.findings import Evidence, findings
from fal_bench.inspection.markdown import to_markdown
from fal_bench.inspection.wording import advice, sentence
from fal_bench.results.model import MissingRun
from fal_bench.task import Task

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

InspectionFormat = Literal["text", "json", "markdown"]

_MARKS: Final[dict[Grade, tuple[str, str]]] = {
    "good": ("ok", "green"),
    "remark": ("remark", "yellow"),
    "fault": ("fault", "red"),
    "unknown": ("unknown", "dim"),
}
"""What stands before a finding, and its colour."""


@dataclass(frozen=True)
class InspectedTask:
    """What was found of one task.

    Attributes:
        task: the task.
        findings: what was measured, in the order in which it is read.
        holdings: what its clients hold; None if that is not known.
    """

    task: Task
    findings: tuple[Finding, ...]
    holdings: Holdings | None = None

    @cached_property
    def verdict(self) -> Verdict:
        """Whether it is worth its minutes."""
        return verdict(self.findings)

    @property
    def changes(self) -> list[str]:
        """What to change, in sentences: for faults first, then for remarks and what is unknown."""
        order: list[Grade] = ["fault", "remark", "unknown"]
        found = [advice(one) for grade in order for one in self.findings if one.grade == grade]
        return [text for text in dict.fromkeys(found) if text]

    def data(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "task": self.task.name,
            "hash": self.task.hash,
            "summary": self.task.summary,
            "verdict": {**self.verdict.data(), "text": sentence(self.verdict)},
            "findings": [{**one.data(), "text": sentence(one)} for one in self.findings],
            "changes": self.changes,
            "clients": self.holdings and self.holdings.frame().to_dict("records"),
        }


@dataclass(frozen=True)
class Inspection:
    """Whether tasks are worth their minutes; it shows itself as findings with their verdicts.

    Attributes:
        tasks: what was found of every task.
        missing: the runs without a finished curve, and why.
    """

    tasks: tuple[InspectedTask, ...]
    missing: tuple[MissingRun, ...] = ()

    @classmethod
    def of(
        cls,
        found: list[Evidence],
        missing: tuple[MissingRun, ...] = (),
        federations: Sequence[Holdings] = (),
    ) -> Inspection:
        """Inspect tasks by their finished runs, and show who holds what on them."""
        held = {one.task.hash: one for one in federations}
        tasks = tuple(
            InspectedTask(one.task, findings(one), held.get(one.task.hash)) for one in found
        )
        return cls(tasks, missing)

    @property
    def facts(self) -> dict[str, tuple[Finding | Verdict, ...]]:
        """The verdict and the findings of every task, by the task's name."""
        return {one.task.name: (one.verdict, *one.findings) for one in self.tasks}

    def data(self) -> dict[str, Any]:
        """Return everything as plain data, as JSON has it."""
        missing = [
            {"task": one.task, "strategy": one.strategy, "seed": one.seed, "reason": one.reason}
            for one in self.missing
        ]
        return {"tasks": [one.data() for one in self.tasks], "missing": missing}

    def text(self, form: InspectionFormat = "text") -> str:
        """Return it as text, ending in a line break."""
        if form == "markdown":
            return to_markdown(self.tasks)
        return f"{json.dumps(self.data(), indent=2)}\n" if form == "json" else str(self)

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=100, color_system=None, force_jupyter=False)
        with console.capture() as capture:
            console.print(self)
        return capture.get()

    __repr__ = __str__

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show the verdict, the findings and what to change, task by task."""
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        for number, one in enumerate(self.tasks):
            if number:
                yield Text("")
            yield Text(f"{one.task.name}: {one.task.summary}", style="bold")
            yield Text(sentence(one.verdict))
            if one.holdings is not None:
                yield Padding.indent(ClientTable(one.holdings), 2)
            table = Table.grid(padding=(0, 2))
            table.add_column(no_wrap=True)
            table.add_column()
            for finding in one.findings:
                mark, style = _MARKS[finding.grade]
                table.add_row(Text(mark, style=style), Text(sentence(finding)))
            for text in one.changes:
                table.add_row(Text("change", style="bold"), Text(text))
            yield Padding.indent(table, 2)
        for run in self.missing:
            yield Text(f"Missing: {run.task}, {run.strategy}, seed {run.seed}: {run.reason}")
