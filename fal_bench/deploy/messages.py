"""What server and sites say to each other: verbs with facts and arrays, and a log of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from numpy.typing import NDArray

from fal_bench.errors import FalbenchError

Verb = Literal["hello", "ask", "status", "train", "select", "evaluate"]
VERBS: Final[tuple[Verb, ...]] = ("hello", "ask", "status", "train", "select", "evaluate")

WAITING: Final = "waiting"
"""The fact by which a site says how many labels it waits for before it can answer."""
ERROR: Final = "error"
"""The fact by which a site says, in one sentence, why it cannot answer."""


class DeploymentError(FalbenchError):
    """Something about a real federation cannot be done, or went wrong."""


class SharedError(DeploymentError):
    """An error that a site tells the server: its sentence is made of settings alone.

    Other sentences may quote data or labels, and stay at the site.
    """


@dataclass(frozen=True, eq=False)
class Message:
    """One message, in either direction.

    Attributes:
        facts: JSON values by name.
        arrays: arrays of numbers or text by name.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def group(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return the arrays whose names begin with ``prefix/``, by the rest of their names."""
        start = f"{prefix}/"
        found = self.arrays.items()
        return {name.removeprefix(start): one for name, one in found if name.startswith(start)}


def grouped(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return arrays under names that ``Message.group`` finds."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


class Link(Protocol):
    """How the server reaches its sites."""

    def ask(self, verb: Verb, messages: Mapping[str, Message]) -> dict[str, Message]:
        """Send each named site a message, and return the replies of all of them by name.

        A site that does not answer is asked again until it does: every verb may be asked twice.
        """


class MessageLog:
    """A file with one line a message: what it is made of, never its content.

    Args:
        path: the file; lines are added at its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(
        self, verb: Verb, direction: Literal["in", "out"], message: Message, error: str = ""
    ) -> None:
        """Write down the names, shapes and types of a message's arrays, and its facts' names.

        Args:
            verb: the verb that is asked, or answered.
            direction: seen from the site.
            message: the message.
            error: why the site cannot answer, in full.
        """
        line = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "verb": verb,
            "direction": direction,
            "bytes": message.nbytes,
            "facts": sorted(message.facts),
            "arrays": {
                name: [str(one.dtype), *one.shape] for name, one in sorted(message.arrays.items())
            },
        }
        if error:
            line["error"] = error
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
