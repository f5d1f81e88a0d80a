"""``falbench deploy new``: the folder of a federation, from a task."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from fal_bench.deploy.config import SITES, Federation, parse_federation
from fal_bench.deploy.messages import DeploymentError
from fal_bench.deploy.refusals import check_deployable
from fal_bench.task import Task

_NAME: Final = re.compile(r"(?=.{1,32}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PORT: Final = 9094
"""Of the first site's SuperNode; those beside it on one machine take the next ones."""
_PLACES: Final = {
    "federation.toml": "federation.toml",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "flwr.toml": "flwr/config.toml",
}
"""Where the files of a federation go, by template."""


def write_federation(
    folder: Path, task: Task, strategy: str, sites: Sequence[str], evaluation_labels: int
) -> Federation:
    """Write the folder of a federation, and return what server and sites agree on.

    Args:
        folder: the folder; its name is the federation's. It must not be there yet.
        task: what is learned, and with how many labels. Its data are those of a trial; sites with
            data of their own change their files.
        strategy: selector of the strategy.
        sites: names of the sites; ``site-0`` and so on if there are none.
        evaluation_labels: labels that are bought to measure the model.

    Raises:
        DeploymentError: the folder is there, its name cannot be used, or the federation could not
            run.
    """
    from fal_bench.data.loading import load_dataset
    from fal_bench.data.partition import with_known_clients

    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise DeploymentError(
            f"{name!r} cannot be a federation's name; use words in lower case, joined by hyphens, "
            "such as 'my-federation', 32 letters at most."
        )
    if folder.exists():
        raise DeploymentError(f"{str(folder)!r} exists and is not overwritten; choose another.")
    dataset = load_dataset(task.dataset)
    task = with_known_clients(task, dataset)
    names = list(sites) or [f"site-{number}" for number in range(task.clients)]
    module = f"{name.replace('-', '_')}_app"  # no name of a module that Python or Flower has
    values = {
        "name": name,
        "module": module,
        "folder": str(folder.resolve()),
        "sites": json.dumps(names),
        "classes": json.dumps([str(number) for number in range(dataset.n_classes)]),
        "input_shape": json.dumps(list(dataset.input_shape)),
        "strategy": json.dumps(strategy),
        "evaluation_labels": evaluation_labels,
        "task": _task_as_toml(task),
        "first": names[0],
        "count": len(names),
        "register": "".join(
            f"flwr supernode register {site}.key.pub deployment\n" for site in names
        ),
        "nodes": "".join(_node(site, number) for number, site in enumerate(names)),
        "local_nodes": "".join(_local_node(site, number) for number, site in enumerate(names)),
    }
    written = {folder / place: _filled(one, values) for one, place in _PLACES.items()}
    settings = folder / "federation.toml"
    agreed = parse_federation(written[settings], settings)
    check_deployable(agreed)
    written[folder / module / "__init__.py"] = ""
    written[folder / module / "app.py"] = _filled("app.py", values)
    for site in names:
        written[folder / SITES / f"{site}.toml"] = _filled("site.toml", {**values, "site": site})
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return agreed


def _filled(template: str, values: dict[str, Any]) -> str:
    text = files("fal_bench.deploy").joinpath(f"templates/{template}.txt").read_text("utf-8")
    return Template(text).substitute(values)


def _node(site: str, number: int) -> str:
    """Return the command of one site's SuperNode, for the README."""
    return (
        f"until flower-supernode --superlink SERVER:8000 --root-certificates ca.crt \\\n"
        f"    --auth-supernode-private-key {site}.key --port {_PORT + number} \\\n"
        f"    --node-config \"site='$PWD/{SITES}/{site}.toml'\"; do sleep 10; done\n"
    )


def _local_node(site: str, number: int) -> str:
    """Return the same for a SuperLink on this machine."""
    return (
        f"flower-supernode --insecure --superlink 127.0.0.1:8000 --port {_PORT + number} "
        f"--node-config \"site='$PWD/{SITES}/{site}.toml'\" &\n"
    )


def _task_as_toml(task: Task) -> str:
    """Return a task as the lines of a TOML table."""
    plain = {"name": task.name, "dataset": task.dataset, **task.canonical, "clients": task.clients}
    return "".join(f"{key} = {_toml(value)}\n" for key, value in plain.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
