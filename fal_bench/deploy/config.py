"""What a real federation is, and what a site is: two TOML files."""

from __future__ import annotations

import hashlib
import json
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from fal_bench._version import __version__
from fal_bench.deploy.messages import DeploymentError
from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.files import UnreadableFileError, read_text
from fal_bench.inputs.limits import MOST_CLIENTS, MOST_SUITE_BYTES
from fal_bench.inputs.selector import Selector
from fal_bench.inputs.validation import explained, sentence
from fal_bench.task import Given, Task
from fal_bench.task.spec import Spec

Read = TypeVar("Read", bound=Spec)

SiteName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Extent = Annotated[int, Field(ge=1, le=65536)]

MOST_CLASSES: Final = 10_000
MOST_ADJUDICATORS: Final = 1_000
SITES: Final = "sites"
"""The folder of the files of sites, beside the federation's."""


class Stopping(Spec):
    """When a federation stops buying labels, besides at the task's budget cap.

    Attributes:
        target: stop when the accuracy is above this with a confidence of 95 %.
        gain: stop when the next 100 labels are expected to add less than this to the accuracy.
    """

    target: float | None = Field(default=None, gt=0, lt=1)
    gain: float | None = Field(default=None, gt=0, lt=1)


class Federation(Spec):
    """What server and sites agree on.

    Attributes:
        name: what the federation is called.
        sites: names of the sites, in the order of their numbers.
        classes: names of the classes.
        input_shape: channels, height and width of one sample; a vector has height and width 1.
        strategy: selector of the strategy.
        seed: the seed of all random streams.
        evaluation_labels: labels that all sites together buy to measure the model; they are never
            trained on.
        patience: seconds between two looks at whether people have answered.
        stopping: when to stop before the budget is spent.
        task: model, training, budgets; its data set is used by sites that are simulated.
    """

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9._+-]+$")
    sites: Annotated[tuple[SiteName, ...], Field(min_length=1, max_length=MOST_CLIENTS)]
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=MOST_CLASSES)]
    input_shape: tuple[Extent, Extent, Extent]
    strategy: str = "fal-margin"
    seed: int = Field(default=0, ge=0)
    evaluation_labels: int = Field(default=0, ge=0)
    patience: float = Field(default=30.0, gt=0, le=86_400)
    stopping: Stopping = Stopping()
    task: Task

    @model_validator(mode="after")
    def _consistent(self) -> Federation:
        for what, names in (("sites", self.sites), ("classes", self.classes)):
            if len(set(names)) < len(names):
                raise ValueError(f"two {what} have one name; give each its own")
        if self.task.clients != len(self.sites) and not isinstance(self.task.partition, Given):
            raise ValueError(
                f"the task has {self.task.clients} clients, and there are {len(self.sites)} sites; "
                f"write clients = {len(self.sites)}"
            )
        stopping = self.stopping
        if (stopping.target or stopping.gain) and not self.evaluation_labels:
            raise ValueError("stopping needs a measured accuracy; set evaluation_labels")
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that server and sites must agree on, code included."""
        return hashlib.sha256(json.dumps(self._agreed(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def selector(self) -> Selector:
        """The strategy, as it was selected."""
        return Selector.parse(self.strategy)

    @property
    def trainer(self) -> Selector:
        """What sites minimise: the trainer of the selector, or the strategy's own."""
        from fal_bench.plugins.registry import current_registry

        own = current_registry().strategies.load(self.selector.name).trainer
        return Selector.parse(str(self.selector.params.get("trainer", own)))

    def number(self, site: str) -> int:
        """Return a site's number.

        Raises:
            DeploymentError: there is no such site.
        """
        if site not in self.sites:
            raise DeploymentError(
                f"{site!r} is no site of federation {self.name!r}; its sites are "
                f"{', '.join(self.sites)}."
            )
        return self.sites.index(site)

    def _agreed(self) -> dict[str, Any]:
        from fal_bench.learning.device import CPU
        from fal_bench.learning.numerics import numerics_of
        from fal_bench.plugins.registry import current_registry

        registry, task, trainer = current_registry(), self.task, self.trainer.name
        agreed = {
            "federation": self.model_dump(mode="json", exclude={"patience", "stopping", "task"}),
            "task": task.canonical,
            "falbench": __version__,
            "numerics": numerics_of(CPU),
            "strategy": registry.fingerprint(self.selector.name),
            "model": registry.models.fingerprint(task.model.kind),
            "aggregation": registry.aggregations.fingerprint(task.aggregation.kind),
        }
        if not registry.trainers.built_in(trainer):  # falbench's own have its version
            agreed["trainer"] = registry.trainers.fingerprint(trainer)
        return agreed


class ShareData(Spec):
    """What the simulator gives this site's client, with people who know every label.

    For trying a federation out before it has data of its own.

    Attributes:
        kind: always ``share``.
    """

    kind: Literal["share"] = "share"


class ArrayData(Spec):
    """An array in a NumPy ``.npz`` file.

    Attributes:
        kind: always ``arrays``.
        path: the file, with an array ``samples`` of numbers, shape (n, C, H, W) or (n, d).
    """

    kind: Literal["arrays"] = "arrays"
    path: Path


class ImageData(Spec):
    """A folder of PNG and JPEG images; folders in it are searched, too.

    Attributes:
        kind: always ``images``.
        path: the folder.
        mean: subtracted from pixels in [0, 1], the same at all sites.
        deviation: what they are then divided by.
    """

    kind: Literal["images"] = "images"
    path: Path
    mean: float = 0.5
    deviation: float = Field(default=0.25, gt=0)


class TableData(Spec):
    """A CSV file with a row a sample.

    Attributes:
        kind: always ``table``.
        path: the file.
        columns: the columns of numbers that are the features, in order.
        mean: subtracted from each column, the same at all sites.
        deviation: what each is then divided by.
    """

    kind: Literal["table"] = "table"
    path: Path
    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _one_each(self) -> TableData:
        for name in ("mean", "deviation"):
            if getattr(self, name) and len(getattr(self, name)) != len(self.columns):
                raise ValueError(f"{name} needs one number a column, {len(self.columns)} in all")
        if not all(value > 0 for value in self.deviation):
            raise ValueError("deviation needs numbers above 0")
        return self


Data = Annotated[ShareData | ArrayData | ImageData | TableData, Field(discriminator="kind")]


class SiteConfig(Spec):
    """One site.

    Attributes:
        name: its name, as the federation has it.
        data: its samples, without labels.
        store: folder of its label store and of what its strategy remembers.
        threads: processor threads of its computations; bits are those of the simulator with one.
        votes: people who label each sample, 1 or 2; where two differ, a third one decides.
        adjudicators: names of those who decide, and label nothing else; anybody if empty.
    """

    name: SiteName
    data: Data
    store: Path
    threads: int = Field(default=1, ge=1, le=1024)
    votes: int = Field(default=1, ge=1, le=2)
    adjudicators: Annotated[tuple[str, ...], Field(max_length=MOST_ADJUDICATORS)] = ()

    @model_validator(mode="after")
    def _people(self) -> SiteConfig:
        if self.adjudicators and (self.votes < 2 or isinstance(self.data, ShareData)):
            raise ValueError("adjudicators decide where two people differ; set votes = 2 and data")
        if not all(name.strip() for name in self.adjudicators):
            raise ValueError("adjudicators has an empty name; write who they are")
        return self


def read_federation(path: Path) -> Federation:
    """Read a federation's file.

    Raises:
        DeploymentError: it cannot be read, or a key in it is wrong; the key is named.
    """
    return parse_federation(_text(path), path)


def parse_federation(text: str, path: Path) -> Federation:
    """Read the text of a federation's file.

    Args:
        text: the text.
        path: what the file is called, for messages.

    Raises:
        DeploymentError: a key in it is wrong; the key is named.
    """
    found = _parsed(text, path, Federation)
    if isinstance(found.task.partition, Given) and not found.task.clients:
        task = found.task.with_clients(len(found.sites))
        found = found.model_copy(update={"task": task})
    return found


def read_site(path: Path) -> SiteConfig:
    """Read a site's file; relative paths in it are relative to the file.

    Raises:
        DeploymentError: it cannot be read, or a key in it is wrong; the key is named.
    """
    found = _parsed(_text(path), path, SiteConfig)
    update: dict[str, Any] = {"store": path.parent / found.store}
    if not isinstance(found.data, ShareData):
        update["data"] = found.data.model_copy(update={"path": path.parent / found.data.path})
    return found.model_copy(update=update)


def _text(path: Path) -> str:
    try:
        return read_text(path, most=MOST_SUITE_BYTES, links=True)
    except UnreadableFileError as error:
        raise DeploymentError(f"Cannot read {str(path)!r}: {error.cause}.") from None


def _parsed(text: str, path: Path, model: type[Read]) -> Read:
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise DeploymentError(f"{str(path)!r} is no TOML: {error}.") from None
    except ValidationError as error:
        key, what = explained(error, model)
        where = f"key {key!r} is wrong: " if key else ""
        raise DeploymentError(f"{str(path)!r}: {where}{sentence(what)}") from None
    except InvalidSpecError as error:
        raise DeploymentError(f"{str(path)!r}: {error}") from None
