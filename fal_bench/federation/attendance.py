"""Who takes part in a round: the task draws it, so that it is the same for all strategies."""

from __future__ import annotations

from dataclasses import dataclass

from fal_bench.streams import Streams
from fal_bench.task import Task


@dataclass(frozen=True)
class Attendance:
    """The clients of one round, by number, in order.

    Attributes:
        asked: those that receive the global model.
        present: those among them whose update arrives.
    """

    asked: tuple[int, ...]
    present: tuple[int, ...]

    @classmethod
    def draw(cls, task: Task, streams: Streams, cycle: int, number: int) -> Attendance:
        """Draw the clients of a round.

        Args:
            task: says how many take part, and how often one of them drops out.
            streams: of the task and its seed.
            cycle: the cycle.
            number: the round.
        """
        asked = tuple(range(task.clients))
        if task.participants < task.clients:
            drawn = streams.numpy("participation", cycle, number)
            chosen = drawn.choice(task.clients, task.participants, replace=False)
            asked = tuple(sorted(chosen.tolist()))
        if not task.dropouts:
            return cls(asked, asked)
        # Each client has its own draw, so that it does not depend on who else takes part.
        luck = streams.numpy("dropouts", cycle, number).random(task.clients)
        return cls(asked, tuple(client for client in asked if luck[client] >= task.dropouts))
