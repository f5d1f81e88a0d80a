"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StrategyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        "-s",
        metavar="NAME",
        help="A strategy, with parameters as in 'logo[n_init=4]'; repeat for more.",
    ),
]
SuiteOption = Annotated[
    str | None, typer.Option(metavar="NAME|PATH", help="A suite, or a TOML file.  [default: quick]")
]
TaskOption = Annotated[str | None, typer.Option(metavar="NAME", help="One task only.")]
SeedsOption = Annotated[
    int | None, typer.Option(metavar="N", help="Number of seeds.  [default: the suite's]")
]
OutOption = Annotated[Path, typer.Option(metavar="DIR", help="The results folder.")]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="PATH", help="A Python file or folder with strategies; repeatable."),
]
