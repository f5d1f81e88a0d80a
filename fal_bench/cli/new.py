"""``falbench new``: files to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fal_bench.errors import InvalidSpecError

if TYPE_CHECKING:
    from fal_bench.scaffold.plugin import Start

new = typer.Typer(no_args_is_help=True)

OutOption = Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")]


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
    out: OutOption = Path(),
) -> None:
    """Write a strategy and its test, ready to be checked and compared.

    Nothing is overwritten.
    """
    if adaptive and coordinated:
        raise InvalidSpecError("A template is either --adaptive or --coordinated; choose one.")
    _write(name, out, "adaptive" if adaptive else "coordinated" if coordinated else "plain")


@new.command("trainer")
def new_trainer(
    name: Annotated[str, typer.Argument(help="Its name, such as my-loss.", show_default=False)],
    out: OutOption = Path(),
) -> None:
    """Write a trainer, which is what clients minimise, and its test.

    Both are ready to be checked and compared. Nothing is overwritten.
    """
    _write(name, out, "trainer")


def _write(name: str, out: Path, start: Start) -> None:
    """Write a plugin's files, and say what to do next."""
    import shlex

    from fal_bench.scaffold.plugin import NewPlugin

    made = NewPlugin(name, out, start)
    made.write()
    plugin, test = made.paths
    file = shlex.quote(str(plugin))
    asked = " ".join(f'-s "{one}"' if "[" in one else f"-s {one}" for one in made.selectors)
    typer.echo(f"Wrote {plugin} and {test}. Next:")
    typer.echo(f"  falbench check {file}")
    typer.echo(f"  falbench compare --plugin {file} {asked} --suite smoke")
