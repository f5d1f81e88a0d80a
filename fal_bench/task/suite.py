"""Reading suites: TOML files that name their tasks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fal_bench.errors import InvalidSpecError, UnknownNameError, shown
from fal_bench.inputs.arguments import as_path
from fal_bench.inputs.files import UnreadableFileError, read_text
from fal_bench.inputs.limits import MOST_SUITE_BYTES, MOST_TASKS
from fal_bench.inputs.selector import Selector
from fal_bench.inputs.validation import explained, nearest, sentence
from fal_bench.inputs.values import MOST_NESTED, check_value
from fal_bench.plugins.built_in import DATASET, MODEL, built_in
from fal_bench.plugins.functions import parameters_of
from fal_bench.task import Task
from fal_bench.task.target import Target, parse_targets

_FOLDER = files("fal_bench.task").joinpath("suites")

DEFAULT_SUITE = "quick"

_TEXTS: Final = re.compile(
    r"""#[^\n]*|\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}.*?'{3}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""", re.DOTALL
)
"""Comments and texts of TOML."""

_LONG_KEY: Final = re.compile(rf"(?:\.[ \t]*+[\w+-]++[ \t]*+){{{MOST_NESTED}}}")
"""Parts of a key, joined by dots."""


@dataclass(frozen=True)
class Suite:
    """A named list of tasks.

    Attributes:
        name: the suite's name.
        description: one line for people.
        seeds: number of seeds it is meant to be run with.
        tasks: its tasks, in order; their names are distinct.
        targets: the target accuracies of a comparison for which the user names none; if empty,
            the usual one.
        strategies: selectors of the strategies of a comparison for which the user names none; if
            empty, the usual ones.
        shared: names of those tasks that stand in another suite.
    """

    name: str
    description: str
    seeds: int
    tasks: tuple[Task, ...]
    targets: tuple[Target, ...] = ()
    strategies: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()

    @property
    def own_tasks(self) -> tuple[Task, ...]:
        """Its tasks, without those of other suites."""
        return tuple(task for task in self.tasks if task.name not in self.shared)

    def task(self, name: str) -> Task:
        """Return a task by name.

        Raises:
            UnknownNameError: the suite has no such task.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        raise unknown_task(name, [task.name for task in self.tasks], f"not in {self.name!r}")

    def describe(self) -> str:
        """Return what it is, and what a comparison takes from it, in a few short sentences."""
        facts = {
            "Tasks": [task.name for task in self.tasks],
            "Seeds": [str(self.seeds)],
            "Targets": [str(target) for target in self.targets],
            "Strategies": list(self.strategies),
        }
        listed = [f"{key}: {', '.join(values)}." for key, values in facts.items() if values]
        return " ".join([f"{self.description}." if self.description else "", *listed]).strip()


def suite_names() -> list[str]:
    """Return the names of the suites that ship with the package, sorted."""
    found = (Path(str(file)) for file in _FOLDER.iterdir())
    return sorted(path.stem for path in found if path.suffix == ".toml")


def load_suite(name_or_path: str) -> Suite:
    """Load a suite that ships with the package, or one from a TOML file.

    A file has a ``description``, a number of ``seeds``, lists of ``targets`` and ``strategies``,
    an optional table ``defaults`` that every task starts from, and one table ``tasks.NAME`` for
    each task. ``suite = "quick"`` alone in such a table takes the task as it stands in that suite
    of the package.

    Raises:
        UnknownNameError: there is no suite of that name.
        InvalidSpecError: the file cannot be read, or a key in it is wrong; the key is named.
    """
    if name_or_path in suite_names():
        text = _FOLDER.joinpath(f"{name_or_path}.toml").read_text(encoding="utf-8")
        return _parse(text, name_or_path, f"suite {name_or_path!r}")
    path = as_path("suite", name_or_path)
    if path.suffix != ".toml":
        raise UnknownNameError("suite", name_or_path, suite_names())
    try:
        text = read_text(path, most=MOST_SUITE_BYTES, links=True)
    except UnreadableFileError as error:
        raise InvalidSpecError(f"Cannot read the suite {name_or_path!r}: {error.cause}.") from None
    return _parse(text, path.stem, f"suite file {name_or_path!r}")


def find_suite(task: str) -> Suite:
    """Return the suite of the package that a task stands in.

    Raises:
        UnknownNameError: no suite has such a task.
    """
    suites = [load_suite(name) for name in suite_names()]
    owners = {own.name: suite for suite in suites for own in suite.own_tasks}
    if task not in owners:
        raise UnknownNameError("task", task, owners)
    return owners[task]


def find_task(name: str) -> Task:
    """Return a task of any suite that ships with the package.

    Raises:
        UnknownNameError: no suite has such a task.
    """
    return find_suite(name).task(name)


def only_task(suite: Suite) -> Task:
    """Return the task of a suite that has one.

    Raises:
        InvalidSpecError: it has several.
    """
    if len(suite.tasks) > 1:
        names = ", ".join(task.name for task in suite.tasks)
        raise InvalidSpecError(
            f"Suite {suite.name!r} has several tasks ({names}); write a file with the one you mean."
        )
    return suite.tasks[0]


def unknown_task(name: str, known: Iterable[str], otherwise: str) -> UnknownNameError:
    """Return the error of a task that is not where it was looked for.

    Args:
        name: the task.
        known: the tasks that are there.
        otherwise: what to say if a suite of the package has the task: ``"not in 'quick'"``.
    """
    for suite in map(load_suite, suite_names()):
        if any(task.name == name for task in suite.own_tasks):
            hint = f"it is in suite {suite.name!r}, and {otherwise}."
            return UnknownNameError("task", name, known, hint)
    return UnknownNameError("task", name, known)


def _parse(text: str, name: str, where: str) -> Suite:
    content = _content(text, where)
    known = {
        "description": str,
        "seeds": int,
        "targets": list,
        "strategies": list,
        "defaults": dict,
        "tasks": dict,
    }
    for key, value in content.items():
        if key not in known:
            raise InvalidSpecError(
                f"The {where} has an unknown key {shown(key)}; {sentence(nearest(key, known))}"
            )
        if not isinstance(value, known[key]) or isinstance(value, bool):
            raise InvalidSpecError(
                f"The {where}: key {key!r} must be a {_kind(known[key])}, not {shown(value)}."
            )
    if not content.get("tasks"):
        raise InvalidSpecError(f"The {where} has no tasks; add a table [tasks.NAME].")
    if len(content["tasks"]) > MOST_TASKS:
        raise InvalidSpecError(
            f"The {where} has {len(content['tasks'])} tasks; split it into suites of at most "
            f"{MOST_TASKS}."
        )
    seeds = content.get("seeds", 5)
    if seeds < 1:
        raise InvalidSpecError(f"The {where}: key 'seeds' must be at least 1, not {seeds}.")
    tables = {task: _table(table, task, where) for task, table in content["tasks"].items()}
    shared = frozenset(task for task, table in tables.items() if "suite" in table)
    tasks = tuple(
        _shared_task(task, table, where)
        if task in shared
        else _task(task, {**content.get("defaults", {}), **table}, where)
        for task, table in tables.items()
    )
    first: dict[str, str] = {}
    for task in tasks:
        twin = first.setdefault(task.hash, task.name)
        if twin != task.name:
            raise InvalidSpecError(
                f"The {where}: tasks {twin!r} and {task.name!r} are the same task; remove one."
            )
    return Suite(
        name,
        content.get("description", ""),
        seeds,
        tasks,
        _targets(content["targets"], where) if "targets" in content else (),
        _strategies(content["strategies"], where) if "strategies" in content else (),
        shared,
    )


def _content(text: str, where: str) -> dict[str, Any]:
    """Read TOML, and check that its values can be used."""
    # tomllib takes memory with the square of the parts of a key.
    if _LONG_KEY.search(_TEXTS.sub("text", text)):
        raise InvalidSpecError(
            f"The {where} has a key of more than {MOST_NESTED} parts; write fewer dots."
        )
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSpecError(f"The {where} is not valid TOML: {error}.") from None
    except RecursionError:
        raise InvalidSpecError(f"The {where} is nested too deep; write fewer brackets.") from None
    except ValueError:  # of Python, which does not read thousands of digits
        raise InvalidSpecError(f"The {where} has a number with too many digits.") from None
    try:
        for key, value in content.items():
            check_value(key, value, lines=True)
    except ValueError as error:
        raise InvalidSpecError(f"The {where}: key {error}.") from None
    return content


def _targets(values: list[Any], where: str) -> tuple[Target, ...]:
    return parse_targets(values, f"The {where}: key 'targets'")


def _strategies(values: list[Any], where: str) -> tuple[str, ...]:
    """Check the form of selectors; whether there are such strategies depends on the plugins."""
    key = f"The {where}: key 'strategies'"
    if not values or not all(isinstance(value, str) for value in values):
        raise InvalidSpecError(f"{key} must name strategies, as in ['random', 'logo'].")
    try:
        Selector.expand(*values)
    except InvalidSpecError as error:
        raise InvalidSpecError(f"{key}: {error}") from None
    return tuple(values)


def _table(table: Any, task: str, where: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise InvalidSpecError(
            f"The {where}: key 'tasks.{task}' must be a table, not {shown(table)}."
        )
    return table


def _shared_task(name: str, table: dict[str, Any], where: str) -> Task:
    """Return a task of another suite of the package."""
    key = f"The {where}: key 'tasks.{name}.suite'"
    if len(table) > 1:
        others = ", ".join(map(shown, sorted({*table} - {"suite"})))
        raise InvalidSpecError(f"{key} takes a task as it stands there; remove {others}.")
    try:
        if table["suite"] not in suite_names():
            raise UnknownNameError("suite", str(table["suite"]), suite_names())
        return load_suite(table["suite"]).task(name)
    except UnknownNameError as error:
        raise InvalidSpecError(f"{key} is wrong: {error}") from None


def _kind(kind: type) -> str:
    return {str: "text", int: "number", list: "list", dict: "table"}[kind]


def _misplaced(key: str, table: dict[str, Any]) -> str:
    """Say where a key belongs that is no task's, but one of its data set or model; else nothing."""
    if key in Task.model_fields:
        return ""
    dataset, model = table.get("dataset", Task.model_fields["dataset"].default), table.get("model")
    data = Selector.parse(str(dataset)).name
    model = str(model.get("kind", "mlp")) if isinstance(model, dict) else "mlp"
    places = (
        (DATASET, data, f"dataset = '{data}[{key}=...]'"),
        (MODEL, model, f'model = {{ kind = "{model}", {key} = ... }}'),
    )
    for kind, name, example in places:
        plugin = built_in(kind, name)
        if plugin is not None and key in parameters_of(plugin).model_fields:
            return f"it is a parameter of {kind.word} {name!r}; write {example}"
    return ""


def _task(name: str, table: dict[str, Any], where: str) -> Task:
    try:
        return Task.model_validate({**table, "name": name})
    except ValidationError as error:
        key, what = explained(error, Task)
        what = _misplaced(key, table) or what
        key = ".".join(["tasks", name, *([key] if key else [])])
        raise InvalidSpecError(f"The {where}: key {key!r} is wrong: {sentence(what)}") from None
