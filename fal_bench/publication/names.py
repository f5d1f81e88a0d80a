"""Names of tasks and suites that ship with falbench, and that others must not take."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from fal_bench.task import Task
from fal_bench.task.suite import load_suite, suite_names

TITLE = re.compile(r"(?P<name>.*?)(?: \((?P<some>\d+) of (?P<all>\d+) tasks\))?")
"""What results call their suite: its name, and how many of its tasks they have."""


def misnamed(tasks: Iterable[Task], suite: str) -> str:
    """Say which task or suite has a name that ships with falbench for something else.

    Args:
        tasks: the tasks of published results.
        suite: what the results call their suite.

    Returns:
        A sentence without its full stop; empty if there is none.
    """
    tasks = list(tasks)
    shipped: dict[str, set[tuple[str, str]]] = {}
    for one in map(load_suite, suite_names()):
        for task in one.tasks:
            shipped.setdefault(_plain(task.name), set()).add((task.name, task.hash))
    for task in tasks:
        known = shipped.get(_plain(task.name), set())
        if known and (task.name, task.hash) not in known:
            return f"the task {task.name!r} is not the one that ships under this name"
    title = TITLE.fullmatch(suite)
    if title is None or not any(_looks_like(title["name"], name) for name in suite_names()):
        return ""
    if title["name"] not in suite_names():
        return f"the suite {title['name']!r} is not the one that ships under this name"
    own = {task.name: task.hash for task in load_suite(title["name"]).tasks}
    if any(own.get(task.name) != task.hash for task in tasks):
        return f"not all tasks are of the suite {title['name']!r}"
    said = (int(title["some"]), int(title["all"])) if title["some"] else (len(own), len(own))
    return "" if said == (len(tasks), len(own)) else f"{suite!r} has other tasks"


def _plain(name: str) -> str:
    """Return what is left of a name for a reader in a hurry: letters and digits in one case."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(filter(str.isalnum, folded))


def _looks_like(name: str, known: str) -> bool:
    """Whether a reader may take a name for a known one; letters of other scripts may look alike."""
    plain = _plain(name)
    pattern = "".join(one if one.isascii() else "." for one in plain)
    return any(map(str.isascii, plain)) and re.fullmatch(pattern, _plain(known)) is not None
