"""``falbench new``: files to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.errors import InvalidSpecError

new = typer.Typer(no_args_is_help=True)


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
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")] = Path(),
) -> None:
    """Write a strategy and its test, ready to be checked and compared.

    Nothing is overwritten.
    """
    import shlex

    from fal_bench.scaffold.strategy import Kind, NewStrategy

    if adaptive and coordinated:
        raise InvalidSpecError("A template is either --adaptive or --coordinated; choose one.")
    kind: Kind = "adaptive" if adaptive else "coordinated" if coordinated else "plain"
    made = NewStrategy(name, out, kind)
    made.write()
    plugin, test = made.paths
    file = shlex.quote(str(plugin))
    typer.echo(f"Wrote {plugin} and {test}. Next:")
    typer.echo(f"  falbench check {file}")
    typer.echo(f"  falbench compare --plugin {file} -s {name} -s random --suite smoke")
