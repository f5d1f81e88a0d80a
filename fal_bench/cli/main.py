"""The command ``falbench``: its verbs, and how errors end it."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Annotated, Final

import typer

from fal_bench._version import __version__
from fal_bench.cli.check import check
from fal_bench.cli.compare import compare
from fal_bench.cli.deploy import deploy
from fal_bench.cli.figure import figure
from fal_bench.cli.imports import import_curves
from fal_bench.cli.inspect import inspect
from fal_bench.cli.labels import labels
from fal_bench.cli.list import list_things
from fal_bench.cli.merge import merge
from fal_bench.cli.new import new
from fal_bench.cli.output import INTERRUPTED
from fal_bench.cli.policy import policy
from fal_bench.cli.publish import publish
from fal_bench.cli.report import report
from fal_bench.cli.status import status
from fal_bench.cli.verify import verify
from fal_bench.errors import FalbenchError, one_line
from fal_bench.isolation.interrupts import interrupted, signals_noticed
from fal_bench.isolation.leftover import leave_despite_threads, threads_waited_for

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compare")(compare)
app.command("inspect")(inspect)
app.command("check")(check)
app.add_typer(new, name="new")
app.command("list")(list_things)
app.command("status")(status)
app.command("policy")(policy)
app.command("report")(report)
app.command("figure")(figure)
app.command("merge")(merge)
app.command("import")(import_curves)
app.command("publish")(publish)
app.command("verify")(verify)
app.add_typer(deploy, name="deploy")
app.add_typer(labels, name="labels")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"falbench {__version__}")
        raise typer.Exit


@app.callback()
def _falbench(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks of errors, and of failed runs.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """How many labels does a federated active learning strategy need to reach a target accuracy?

    Start with: falbench compare --target 0.5
    """


def main() -> None:
    """Run the command line and end the process, though plugins may have left threads running."""
    code = 1  # after a traceback
    try:
        run()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        raise
    finally:
        if threads_waited_for():
            if "fal_bench.sweep.supervisor" in sys.modules:
                from fal_bench.sweep.supervisor import end_workers

                end_workers()  # now, because what follows may leave no time for it
            leave_despite_threads(code, _tell_left_behind)


def run() -> None:
    """Run the command line and exit: 0 if all is well, 2 after a wrong input."""
    signal.signal(signal.SIGTERM, _stop)
    debug = "--debug" in sys.argv
    sys.argv[:] = [argument for argument in sys.argv if argument != "--debug"]
    try:
        with signals_noticed():
            app(obj=debug)
    except (FalbenchError, OSError, UnicodeEncodeError) as error:
        if debug:
            raise
        typer.echo(f"Error: {one_line(_in_words(error))}", err=True)
        sys.exit(2)
    except Exception:
        if debug or not interrupted():
            raise
        # A library that was being imported, say, made an error of its own of the interrupt.
        typer.echo("Stopped.", err=True)
        sys.exit(INTERRUPTED)


_ADVICE: Final = {
    errno.EACCES: "; check who may read and write it",
    errno.EPERM: "; check who may read and write it",
    errno.ENOSPC: "; make room there, and the same command goes on",
    errno.EDQUOT: "; make room there, and the same command goes on",
    errno.EFBIG: "; raise the limit of file sizes (ulimit -f), and the same command goes on",
    errno.EROFS: "; choose a folder that can be written",
    errno.EMFILE: "; raise the limit of open files (ulimit -n), and the same command goes on",
}
"""What to do, by the system's number of an error."""


def _in_words(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):  # text of ours is UTF-8; names of files need not be
        name = error.object[max(error.start - 20, 0) : error.end + 20]
        return f"A name is not in UTF-8: {name!r}; rename the file or folder."
    if not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or str(error)
    if error.filename is None:  # as when standard output is full
        return f"The output cannot be written ({reason})."
    return f"Cannot use {str(error.filename)!r} ({reason}){_ADVICE.get(error.errno or 0, '')}."


def _tell_left_behind(threads: Sequence[str]) -> None:
    names = ", ".join(repr(name) for name in dict.fromkeys(threads))
    typer.echo(
        f"Warning: threads that a plugin left running are not waited for ({names}); make them "
        "daemon threads, or end them.",
        err=True,
    )


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Stop as after Ctrl-C: batch systems ask so before they kill."""
    raise KeyboardInterrupt
