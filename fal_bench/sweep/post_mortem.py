"""Why a run failed whose worker died although nothing ran beside it."""

from __future__ import annotations

from fal_bench.results.folder import RunFolder
from fal_bench.sweep.spec import RunSpec


def cause_of_death(
    spec: RunSpec, folder: RunFolder, call_timeout: float, memory_limit: int | None
) -> str:
    """Return, in one sentence, which plugin did what, from the marks that the worker left.

    Args:
        spec: the run.
        folder: its directory.
        call_timeout: seconds a plugin call may take.
        memory_limit: MiB a worker may take.
    """
    marker, over_memory = folder.marker(), folder.over_memory()
    who, cycle = f"Strategy {spec.strategy.name!r}", marker["cycle"] if marker else None
    verb = "selecting"
    if marker and marker.get("trainer"):
        who, verb = f"Trainer {marker['trainer']!r}", "at work"
    if over_memory and marker is None:
        return (
            f"The worker took {over_memory} MiB while no plugin was at work, above the limit of "
            f"{memory_limit}; raise memory_limit, or keep less in memory between the calls of "
            f"{spec.strategy.name!r} if it keeps anything."
        )
    if over_memory:
        return (
            f"{who} brought its worker to {over_memory} MiB in cycle {cycle}, above the limit of "
            f"{memory_limit}; keep less in memory, or raise memory_limit."
        )
    if marker is None:
        return "The worker process died while training; it may have run out of memory."
    if marker.get("hung"):
        limit = f"within {call_timeout:g} s"
        # A strategy is called once a cycle and client, a trainer at every step.
        when = (
            f"{limit} in cycle {cycle}" if marker.get("trainer") else f"from cycle {cycle} {limit}"
        )
        return f"{who} did not return {when}; make it faster or raise call_timeout."
    return (
        f"The worker process died while {who[0].lower()}{who[1:]} was {verb} (cycle {cycle}); it "
        "exits the process, crashes, or takes too much memory."
    )
