"""What a results folder holds, read from the runs themselves: no suite or plugin is needed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fal_bench.inputs.validation import explained
from fal_bench.sweep.files import read_json
from fal_bench.sweep.folder import CorruptRunError, Phase, RunFolder
from fal_bench.sweep.store import Store
from fal_bench.task import Task

_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredRun:
    """A run as it describes itself.

    Attributes:
        folder: its directory.
        phase: how far it is.
        task: the task; its name is the beginning of its hash, since runs do not store names.
        label: the strategy with the parameters that were set, and its trainer.
        reference: whether it is a yardstick and never ranked.
        seed: the seed.
        variant: what else decides its curve: the fingerprints of the strategy and the trainer,
            the class of the device, the numerics version, and what identifies the user's own data
            and model.
        environment: versions, processor and device it was computed with.
        description: the canonical description.
    """

    folder: RunFolder
    phase: Phase
    task: Task
    label: str
    reference: bool
    seed: int
    variant: tuple[tuple[str, str], ...]
    environment: dict[str, str]
    description: dict[str, Any]

    @property
    def key(self) -> str:
        """The run's key."""
        return self.folder.path.name

    @property
    def behaviour_hash(self) -> str:
        """A short name of the variant, whatever the data."""
        return _short(tuple(pair for pair in self.variant if pair[0] != "data"))

    @property
    def data(self) -> str:
        """Digest of the user's own data; empty for published ones."""
        return str(self.description.get("data", ""))


def stored_runs(store: Store) -> tuple[list[StoredRun], list[str]]:
    """Read every run of a results folder.

    Returns:
        The runs by key, and one sentence for each that cannot be read.
    """
    runs, problems = [], []
    for path in _directories(store.root):
        try:
            runs.append(_read(RunFolder(path)))
        except CorruptRunError as error:
            problems.append(f"Run {path.name[:12]} in {str(store.root)!r} is corrupted: {error}.")
    return runs, problems


def _short(variant: tuple[tuple[str, str], ...]) -> str:
    return hashlib.sha256(repr(variant).encode()).hexdigest()[:8]


def _directories(root: Path) -> Iterator[Path]:
    if (root / "cells").is_dir():
        for path in sorted((root / "cells").iterdir()):
            if _KEY.fullmatch(path.name) and path.is_dir():
                yield path


def _read(folder: RunFolder) -> StoredRun:
    phase = folder.phase()
    try:
        content = read_json(folder.path / "cell.json")
        description: dict[str, Any] = content["description"]
        strategy = description["strategy"]
        task = Task.model_validate({**description["task"], "name": "unnamed"})
        variant: dict[str, Any] = {
            "fingerprint": strategy["fingerprint"],
            "trainer": description["trainer"]["fingerprint"],
            **{name: description[name] for name in ("device", "numerics")},
            **{name: description[name] for name in ("data", "model") if name in description},
        }
        environment = {**content.get("environment", {}), "device": description["device"]}
        return StoredRun(
            folder=folder,
            phase=phase,
            task=task.model_copy(update={"name": f"task-{task.hash[:8]}"}),
            label=str(content["label"]),
            reference=bool(content["reference"]),
            seed=int(description["seed"]),
            variant=tuple(sorted((name, str(value)) for name, value in variant.items())),
            environment={str(name): str(value) for name, value in environment.items()},
            description=description,
        )
    except ValidationError as error:
        reason = ": ".join(filter(None, explained(error, Task)))
        raise CorruptRunError(f"this falbench does not know its task ({reason})") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptRunError(f"a file cannot be read ({error})") from None
