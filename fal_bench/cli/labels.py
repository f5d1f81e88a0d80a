"""``falbench labels``: what a site's people are asked, and what they say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from fal_bench.deploy.annotating import Desk
    from fal_bench.deploy.label_studio import LabelStudio

labels = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SiteArgument = Annotated[Path, typer.Argument(metavar="SITE.toml", help="The site's file.")]
FederationOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The federation's file.  [default: ../federation.toml beside it]"
    ),
]
Form = Literal["table", "label-studio"]
AnnotatorOption = Annotated[str, typer.Option("--annotator", metavar="NAME", help="Who labelled.")]

ForOption = Annotated[
    str | None,
    typer.Option(
        "--annotator", metavar="NAME", help="Who will label: leaves out what they have voted on."
    ),
]


@labels.callback()
def _labels() -> None:
    """Label what a site of a real federation asks for."""


@labels.command("pending")
def pending(
    site: SiteArgument, annotator: ForOption = None, federation: FederationOption = None
) -> None:
    """Show the open questions as a CSV table."""
    typer.echo(_desk(site, federation).table(annotator), nl=False)


@labels.command("export")
def export(
    site: SiteArgument,
    place: Annotated[
        str, typer.Argument(metavar="DIR|URL", help="A folder, or a Label Studio server.")
    ],
    to: Annotated[
        Form, typer.Option("--to", help="What is written to a folder: a table, or tasks.")
    ] = "table",
    annotator: ForOption = None,
    federation: FederationOption = None,
) -> None:
    """Write the open questions out: to a folder, or to a Label Studio server.

    A table comes with one folder a class, to sort pictures into. The access token of a Label
    Studio server is read from LABEL_STUDIO_API_KEY; the site's project is made there.
    """
    desk = _desk(site, federation)
    if _is_server(place):
        count = _label_studio(place).send(desk)
        typer.echo(f"Sent {count} new tasks to {place}.")
        return
    if to == "label-studio":
        from fal_bench.deploy.label_studio import write_files

        count = write_files(desk, Path(place), annotator)
    else:
        count = desk.export(Path(place), annotator)
    typer.echo(f"Wrote {count} questions to {place}.")


@labels.command("import")
def import_labels(
    site: SiteArgument,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|DIR|URL",
            help="A filled table, a sorted folder, what Label Studio exported as JSON, or its "
            "server.",
        ),
    ],
    annotator: Annotated[
        str, typer.Option("--annotator", metavar="NAME", help="Who labelled, if it does not say.")
    ] = "",
    federation: FederationOption = None,
) -> None:
    """Read answers in; the same ones again change nothing."""
    desk = _desk(site, federation)
    path, left = Path(source), 0
    if _is_server(source) or path.suffix.lower() == ".json":
        from fal_bench.deploy.label_studio import read_file

        taken = _label_studio(source).fetch(desk) if _is_server(source) else read_file(desk, path)
        count, left = taken.changed, taken.left
    elif path.is_dir():
        count = desk.import_folder(path, annotator)
    else:
        count = desk.import_table(path, annotator)
    typer.echo(f"{count} labels are new or changed; {len(desk.store.pending())} are still open.")
    if left:
        typer.echo(f"{left} annotations were not asked for, and are left out.")


@labels.command("take-back")
def take_back(
    site: SiteArgument,
    sample: Annotated[int, typer.Argument(min=0, help="Number of the sample.")],
    annotator: AnnotatorOption,
    vote: Annotated[
        int | None, typer.Option(min=0, help="Which of its votes.  [default: the annotator's]")
    ] = None,
    federation: FederationOption = None,
) -> None:
    """Open a question again whose answer was wrong; the history keeps both."""
    _desk(site, federation).store.take_back(sample, annotator, vote)
    typer.echo(f"Sample {sample} is asked again.")


@labels.command("history")
def history(site: SiteArgument, federation: FederationOption = None) -> None:
    """Show who said what, and when."""
    from fal_bench.deploy.annotating import history_table

    for line in history_table(_desk(site, federation)):
        typer.echo(line)


@labels.command("serve")
def serve(
    site: SiteArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8765,
    federation: FederationOption = None,
) -> None:
    """Show one sample at a time in the browser of this machine, and take labels by key."""
    from fal_bench.deploy.page import HOST, page_server

    server = page_server(_desk(site, federation), port)
    typer.echo(f"Open http://{HOST}:{server.server_port}/ (Ctrl-C ends it).")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def _is_server(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _label_studio(address: str) -> LabelStudio:
    from fal_bench.deploy.label_studio import KEY, LabelStudio

    return LabelStudio(address, os.environ.get(KEY, "").strip())


def _desk(site: Path, federation: Path | None) -> Desk:
    from fal_bench.deploy.annotating import Desk

    return Desk(federation or site.parent.parent / "federation.toml", site)
