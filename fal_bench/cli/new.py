"""``falbench new``: files to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fal_bench.errors import InvalidSpecError

if TYPE_CHECKING:
    from fal_bench.scaffold.plugin import NewPlugin

new = typer.Typer(no_args_is_help=True)

FolderOption = Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")]


@new.callback()
def _new() -> None:
    """Write files to start from."""


@new.command("strategy")
def new_strategy(
    name: Annotated[str, typer.Argument(help="Its name, such as my-idea.", show_default=False)],
    adaptive: Annotated[
        bool, typer.Option("--adaptive", help="It may buy fewer labels than its budget.")
    ] = False,
    coordinated: Annotated[
        bool, typer.Option("--coordinated", help="Its clients and server exchange messages.")
    ] = False,
    out: FolderOption = Path(),
) -> None:
    """Write a strategy and its test, ready to be checked and compared.

    Nothing is overwritten.
    """
    from fal_bench.scaffold.strategy import Kind, NewStrategy

    if adaptive and coordinated:
        raise InvalidSpecError("A template is either --adaptive or --coordinated; choose one.")
    kind: Kind = "adaptive" if adaptive else "coordinated" if coordinated else "plain"
    _write(NewStrategy(name, out, kind), f"-s {name} -s random")


@new.command("trainer")
def new_trainer(
    name: Annotated[str, typer.Argument(help="Its name, such as my-loss.", show_default=False)],
    out: FolderOption = Path(),
) -> None:
    """Write a trainer (what clients minimise) and its test, ready to be checked and compared.

    Nothing is overwritten.
    """
    from fal_bench.scaffold.trainer import NewTrainer

    _write(NewTrainer(name, out), f'-s "random[trainer={name}]" -s random')


def _write(made: NewPlugin, rows: str) -> None:
    """Write a plugin, and say what to do next."""
    made.write()
    plugin, test = made.paths
    file = shlex.quote(str(plugin))
    typer.echo(f"Wrote {plugin} and {test}. Next:")
    typer.echo(f"  falbench check {file}")
    typer.echo(f"  falbench compare --plugin {file} {rows} --suite smoke")
