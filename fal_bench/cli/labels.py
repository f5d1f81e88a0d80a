"""``falbench labels``: what a site's people are asked, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fal_bench.deploy.annotating import Desk

labels = typer.Typer(no_args_is_help=True)

SiteArgument = Annotated[Path, typer.Argument(metavar="SITE.toml", help="The site's file.")]
FederationOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The federation's file.  \\[default: ../federation.toml beside it]"
    ),
]
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
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to.")],
    annotator: ForOption = None,
    federation: FederationOption = None,
) -> None:
    """Write the open questions out: a table and, of pictures, one folder a class to sort into."""
    count = _desk(site, federation).export(folder, annotator)
    typer.echo(f"Wrote {count} questions to {folder}.")


@labels.command("import")
def import_labels(
    site: SiteArgument,
    source: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="A filled table, or a sorted folder.")
    ],
    annotator: AnnotatorOption,
    federation: FederationOption = None,
) -> None:
    """Read answers in; the same ones again change nothing."""
    desk = _desk(site, federation)
    if source.is_dir():
        count = desk.import_folder(source, annotator)
    else:
        count = desk.import_table(source, annotator)
    typer.echo(f"{count} labels are new or changed; {len(desk.store.pending())} are still open.")


@labels.command("take-back")
def take_back(
    site: SiteArgument,
    sample: Annotated[int, typer.Argument(min=0, help="Number of the sample.")],
    annotator: AnnotatorOption,
    vote: Annotated[
        int | None, typer.Option(min=0, help="Which of its votes.  \\[default: the annotator's]")
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


def _desk(site: Path, federation: Path | None) -> Desk:
    from fal_bench.deploy.annotating import Desk

    return Desk(federation or site.parent.parent / "federation.toml", site)
