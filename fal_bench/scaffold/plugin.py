"""A new plugin's file and its test, from templates."""

from __future__ import annotations

import importlib.util
import keyword
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import ClassVar, Final

from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.registry import Registry

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class NewPlugin(ABC):
    """A plugin that does not exist yet.

    Args:
        name: its name on the command line: words in lower case, joined by hyphens.
        folder: where its files go.

    Raises:
        InvalidSpecError: the name cannot be used, is taken, or a file is in the way.
    """

    name: str
    folder: Path

    what: ClassVar[str]
    """What kind of plugin it is, in messages."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidSpecError(
                f"{self.name!r} cannot be a {self.what}'s name; use words in lower case, joined by "
                "hyphens, such as 'my-idea'."
            )
        source = self.taken(Registry.discover()).get(self.name)
        if source is not None:
            raise InvalidSpecError(
                f"There is a {self.what} {self.name!r} already ({source}); choose another name."
            )
        for path in self.paths:
            if path.exists():
                raise InvalidSpecError(
                    f"{str(path)!r} exists and is not overwritten; choose another name or --out."
                )
        self._check_module()

    @property
    @abstractmethod
    def templates(self) -> tuple[str, str]:
        """Names of the templates of its file and of its test."""

    @staticmethod
    @abstractmethod
    def taken(registry: Registry) -> Mapping[str, str]:
        """Return the sources of the plugins that exist, by name."""

    @property
    def module(self) -> str:
        """Name of its module."""
        return self.name.replace("-", "_")

    @property
    def class_name(self) -> str:
        """Name of its class."""
        return "".join(word.capitalize() for word in self.name.split("-"))

    @property
    def paths(self) -> tuple[Path, Path]:
        """Its file, and that of its test."""
        return self.folder / f"{self.module}.py", self.folder / f"test_{self.module}.py"

    def write(self) -> None:
        """Write both files; neither overwrites anything."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path, template in zip(self.paths, self.templates, strict=True):
            with path.open("x", encoding="utf-8") as file:
                file.write(self._filled(template))

    def _filled(self, template: str) -> str:
        text = files("fal_bench.scaffold").joinpath(f"templates/{template}.txt").read_text("utf-8")
        names = {"name": self.name, "module": self.module, "class_name": self.class_name}
        return Template(text).substitute(names)

    def _check_module(self) -> None:
        """Refuse a file that nobody could import, or that would hide another module."""
        import fal_bench

        taken = keyword.iskeyword(self.module) or hasattr(fal_bench, self.class_name)
        if taken or importlib.util.find_spec(self.module) is not None:
            raise InvalidSpecError(
                f"A file {self.module}.py with a class {self.class_name} would hide, or be hidden "
                "by, another module or name of Python or falbench; choose another name."
            )
