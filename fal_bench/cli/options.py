"""Options that several verbs share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Accounting(StrEnum):
    """What ranks the board."""

    strict = "strict"
    paper = "paper"
    cost = "cost"


class Format(StrEnum):
    """How the leaderboard is printed."""

    table = "table"
    csv = "csv"
    json = "json"
    md = "md"
    latex = "latex"


class Device(StrEnum):
    """What computes."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Backend(StrEnum):
    """Where runs are computed."""

    processes = "processes"
    sequential = "sequential"
    ray = "ray"
    dask = "dask"


def folder_or_file(text: str) -> Path:
    """Return a path that was typed.

    Raises:
        InvalidSpecError: it is empty, or has a name that cannot be shown.
    """
    from fal_bench.inputs.arguments import as_path

    return as_path("A file or folder", text)


StrategyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        "--strategies",
        "-s",
        metavar="NAME",
        help="Strategies, with parameters as in 'logo[n_init=4]' (several values: several rows) "
        "or a trainer as in 'random[trainer=evidential]'; 'all' for every one. Repeatable.  "
        "[default: the suite's, else random, fal-margin, logo and fedral]",
    ),
]
SuiteOption = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH", help="A suite, or a TOML file.  [default: quick]"),
]
TaskOption = Annotated[str | None, typer.Option(metavar="NAME", help="One task only.")]
SeedsOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|A-B", help="Number of seeds, or the seeds A to B.  [default: the suite's]"
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        metavar="N",
        help="Workers.  [default: one a core, one on a GPU]",
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only say what is missing and how long it takes.")
]
BackendOption = Annotated[
    Backend, typer.Option(help="Worker processes, this process (for debuggers), or a cluster.")
]
DeviceOption = Annotated[
    Device, typer.Option(help="What computes; 'auto' is the GPU if PyTorch can use one.")
]
StoredStrategyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        "--strategies",
        "-s",
        metavar="NAME",
        help="Strategies that take part, as in 'logo[n_init=4]'; repeatable.  "
        "[default: all that are stored]",
    ),
]
StoredSuiteOption = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH", help="A suite, or a TOML file.  [default: that of the runs]"),
]
StoredSeedsOption = Annotated[
    str | None,
    typer.Option(
        metavar="N|A-B", help="The first N stored seeds, or the seeds A to B.  [default: all]"
    ),
]
OutOption = Annotated[
    Path, typer.Option(metavar="DIR", parser=folder_or_file, help="The results folder.")
]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="PATH",
        parser=folder_or_file,
        help="A Python file or folder with strategies; repeatable.",
    ),
]


def _use_data_folder(context: typer.Context, path: Path | None) -> Path | None:
    """Use a data folder until the verb has ended."""
    from fal_bench.data.folders import use_data_folder

    context.with_resource(use_data_folder(path))
    return path


DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        parser=folder_or_file,
        callback=_use_data_folder,
        help="The folder of downloaded data sets and of relative paths to your own; FALBENCH_DATA "
        "names it too.",
    ),
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="X|METRIC=X",
        help="Target accuracy, above 0 and at most 1, or target of any recorded metric, as in "
        "balanced_accuracy=0.6 or loss=auto; several with commas, or repeat; 'auto' for seven "
        "steps between the baseline's start and its end.  [default: the suite's, else auto]",
    ),
]
AccuracyTargetOption = Annotated[
    list[str] | None,
    typer.Option("--target-acc", metavar="X", help="The same as --target, for accuracies alone."),
]
AccountingOption = Annotated[
    Accounting,
    typer.Option(
        help="Rank by every label read, by the papers' count, or by what all labels read cost."
    ),
]
BaselineOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Savings refer to this strategy.  [default: random]"),
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="How to print the leaderboard on standard output.")
]
ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Print every note below the boards, in full.")
]
CallTimeoutOption = Annotated[
    float, typer.Option(min=1, metavar="SECONDS", help="Longest time one plugin call may take.")
]


def _check_memory_limit(limit: int | None) -> int | None:
    from fal_bench.isolation.memory import check_limit

    check_limit(limit)
    return limit


MemoryLimitOption = Annotated[
    int | None,
    typer.Option(
        metavar="MIB",
        callback=_check_memory_limit,
        help="Most memory a worker may take, at least 1024.  [default: 80 % of what is free, "
        "divided by the workers]",
    ),
]
ExternalOption = Annotated[
    bool, typer.Option("--external/--no-external", help="Show imported curves, or leave them out.")
]
