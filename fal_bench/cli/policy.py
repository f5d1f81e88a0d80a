"""``falbench policy``: export what a client's agent has learned in a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fal_bench.cli.options import (
    DataDirOption,
    Device,
    DeviceOption,
    OutOption,
    PluginOption,
    SuiteOption,
)


def policy(
    file: Annotated[Path, typer.Argument(help="The .npz file to write.")],
    task: Annotated[str, typer.Option(metavar="NAME", help="The task it was trained on.")],
    strategy: Annotated[
        str, typer.Option("--strategy", "-s", metavar="NAME", help="The strategy that trained it.")
    ] = "fedral",
    suite: SuiteOption = None,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the run.")] = 0,
    client: Annotated[int, typer.Option(min=0, help="The client whose agent it is.")] = 0,
    out: OutOption = Path("results"),
    plugin: PluginOption = None,
    data_dir: DataDirOption = None,  # noqa: ARG001
    device: DeviceOption = Device.auto,
) -> None:
    """Export a policy that FedRAL has trained.

    It is for the transfer mode, on another task.
    """
    from dataclasses import replace

    from fal_bench.environments.agents.policy import GreedyPolicy, export_policy
    from fal_bench.errors import InvalidSpecError, StoreError
    from fal_bench.results.folder import CorruptRunError
    from fal_bench.results.store import Store
    from fal_bench.sweep.plan import Plan

    plan = Plan.make(
        [strategy], suite=suite, task=task, seeds=1, plugins=plugin or (), device=device.value
    )
    store = Store(out)
    if len(plan.runs) > 1:
        raise InvalidSpecError(f"{strategy!r} stands for several strategies; name one.")
    run = replace(plan.runs[0], seed=seed)
    try:
        phase, kept = store.folder(run).phase(), store.folder(run).kept()
    except CorruptRunError as error:
        raise StoreError(
            f"Run {run} in {str(out)!r} is corrupted ({error}); compare sets it aside and runs it "
            "again."
        ) from None
    if phase != "done":
        raise StoreError(f"There is no finished run {run} in {str(out)!r}; run compare first.")
    if client >= len(kept) or "policy" not in kept[client]:
        raise StoreError(f"Run {run} keeps no policy of client {client}; choose another.")
    origin = {"task": task, "strategy": run.label, "seed": seed, "client": client}
    export_policy(GreedyPolicy.from_arrays(kept[client]["policy"], origin), file)
    typer.echo(f"Wrote {file}; use it with -s 'fedral[mode=transfer,policy={file}]'.")
