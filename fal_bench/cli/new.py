"""``falbench new``: a new plugin's file and its test, from templates."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from fal_bench.errors import InvalidSpecError

new = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

NameArgument = Annotated[str, typer.Argument(help="Its name, such as my-idea.", show_default=False)]
FolderOption = Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")]

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@new.callback()
def _new() -> None:
    """Write files to start from."""


@new.command("strategy")
def new_strategy(
    name: NameArgument,
    adaptive: Annotated[
        bool, typer.Option("--adaptive", help="It may buy fewer labels than its budget.")
    ] = False,
    coordinated: Annotated[
        bool, typer.Option("--coordinated", help="Its clients and server exchange messages.")
    ] = False,
    out: FolderOption = Path(),
) -> None:
    """Write a strategy (which samples are annotated) and its test; nothing is overwritten."""
    if adaptive and coordinated:
        raise InvalidSpecError("A template is either --adaptive or --coordinated; choose one.")
    template = "strategy" + "_adaptive" * adaptive + "_coordinated" * coordinated
    _write("strategies", name, out, template, f"-s {name} -s random")


@new.command("trainer")
def new_trainer(name: NameArgument, out: FolderOption = Path()) -> None:
    """Write a trainer (what clients minimise) and its test; nothing is overwritten."""
    _write("trainers", name, out, "trainer", f'-s "random[trainer={name}]" -s random')


@new.command("aggregation")
def new_aggregation(name: NameArgument, out: FolderOption = Path()) -> None:
    """Write an aggregation (a federated algorithm), its test, and a suite; nothing is overwritten.

    The suite is a small one that uses it.
    """
    suite = {"dataset": "digits", "model": "mlp", "aggregation": name}
    _write("aggregations", name, out, "aggregation", "-s random -s fal-margin", **suite)


@new.command("dataset")
def new_dataset(name: NameArgument, out: FolderOption = Path()) -> None:
    """Write a data set, its test, and a small suite that uses it; nothing is overwritten."""
    _write("datasets", name, out, "dataset", "-s random -s fal-margin", dataset=name, model="mlp")


@new.command("model")
def new_model(name: NameArgument, out: FolderOption = Path()) -> None:
    """Write a model, its test, and a small suite that uses it; nothing is overwritten."""
    _write("models", name, out, "model", "-s random -s fal-margin", dataset="digits", model=name)


@new.command("metric")
def new_metric(name: NameArgument, out: FolderOption = Path()) -> None:
    """Write a metric and its test; nothing is overwritten."""
    _write("metrics", name, out, "metric", "-s random -s fal-margin")


def _write(kind: str, name: str, folder: Path, template: str, rows: str, **suite: str) -> None:
    """Write a plugin, its test, and a suite if its tasks are named; say what to do next.

    Args:
        kind: what kind of plugin it is, as ``Registry`` calls it.
        name: its name on the command line: words in lower case, joined by hyphens.
        folder: where its files go.
        template: which template it starts from.
        rows: what to compare.
        suite: data set, model and aggregation of the suite.

    Raises:
        InvalidSpecError: the name cannot be used, is taken, or a file is in the way.
    """
    import shlex  # here, so that help is quick
    from importlib.resources import files
    from string import Template

    _check_name(kind, name)
    module = name.replace("-", "_")
    test = f"test_{template.partition('_')[0]}"
    contents = {folder / f"{module}.py": template, folder / f"test_{module}.py": test}
    if suite:
        contents[folder / f"{module}.toml"] = "suite"
    for path in contents:
        if path.exists():
            raise InvalidSpecError(
                f"{str(path)!r} exists and is not overwritten; choose another name or --out."
            )
    folder.mkdir(parents=True, exist_ok=True)
    names = {"name": name, "module": module, "class_name": _class_name(name)}
    names |= {"aggregation": "fedavg", **suite}
    for path, source in contents.items():
        text = files("fal_bench.cli").joinpath(f"templates/{source}.txt").read_text("utf-8")
        with path.open("x", encoding="utf-8") as file:
            file.write(Template(text).substitute(names))
    written = [str(path) for path in contents]
    typer.echo(f"Wrote {', '.join(written[:-1])} and {written[-1]}. Next:")
    quoted = [shlex.quote(path) for path in written]
    typer.echo(f"  falbench check {quoted[0]}")
    tried_on = quoted[-1] if suite else "smoke"
    typer.echo(f"  falbench compare --plugin {quoted[0]} {rows} --suite {tried_on}")


def _check_name(kind: str, name: str) -> None:
    """Check that a plugin can have a name.

    Raises:
        InvalidSpecError: the name cannot be used, or is taken.
    """
    import fal_bench
    from fal_bench.plugins.registry import Registry

    table = getattr(Registry.discover(), kind)
    word, module = table.kind.word, name.replace("-", "_")
    if not _NAME.fullmatch(name):
        raise InvalidSpecError(
            f"{name!r} cannot be a {word}'s name; use words in lower case, joined by hyphens, such "
            "as 'my-idea'."
        )
    taken = table.sources.get(name) or table.sources.get(module)
    if taken is not None:
        raise InvalidSpecError(
            f"There is a {word} {name!r} already ({taken}); choose another name."
        )
    used = {module, _class_name(name)} & {*dir(fal_bench)}
    if used or keyword.iskeyword(module) or importlib.util.find_spec(module) is not None:
        raise InvalidSpecError(
            f"A file {module}.py with a class {_class_name(name)} or a function {module} would "
            "hide, or be hidden by, another module or name of Python or falbench; choose another "
            "name."
        )


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))
