"""The researcher's own modules that a plugin imports: found by reading, without running anything.

What a plugin is identified by must not depend on what this process happened to import before, nor
in which order. So import statements are read from the source, and followed as Python would find
the modules, through functions and branches alike.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from pkgutil import get_importer
from typing import Any, Final

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})

_OURS: Final = "fal_bench"


@dataclass(frozen=True)
class Root:
    """Where a plugin's code begins.

    Attributes:
        file: the source file that defines the plugin.
        package: the package that its relative imports start from; empty if it is in none.
        modules: for an installed plugin the modules that loading it imports. Their packages are
            own code wherever they are installed.
        content: the source, where it is not that of the file.
    """

    file: Path
    package: str = ""
    modules: tuple[str, ...] = ()
    content: bytes | None = None


@dataclass(frozen=True, order=True)
class OwnModule:
    """A module of the researcher's.

    Attributes:
        name: the name that it is imported by.
        digest: SHA-256 of its file's content, in hexadecimal.
        file: the file.
    """

    name: str
    digest: str
    file: Path


def own_modules(root: Root) -> list[OwnModule]:
    """Return the modules that a plugin imports, directly or not, and that are its author's.

    These are the modules that belong neither to falbench, nor to Python's library, nor lie in a
    folder of installed packages, as those of an editable install do not. A module that cannot be
    found is left out: it may be optional. A file beside the plugin goes before another one of its
    author's of the same name, and after what is installed.

    Args:
        root: where the plugin's code begins. Its own file is among the modules if one of them, or
            ``root.modules``, names it.
    """
    return _Walk(root).modules()


def source_hash(root: Root, own: Sequence[OwnModule]) -> str:
    """Return what identifies a plugin's code, wherever its files lie, in hexadecimal.

    Args:
        root: where the plugin's code begins. Without own modules it is the hash of the file.
        own: its own modules.
    """
    digest, itself = digest_of(root.file.read_bytes()), root.file.resolve()
    lines = sorted(
        {f"{module.name} {module.digest}" for module in own if module.file.resolve() != itself}
    )
    if not lines:
        return digest
    return digest_of("\n".join([digest, *lines]).encode())


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class _Place:
    """Where a module may be: a file, folders of submodules, or both."""

    file: Path | None
    folders: tuple[str, ...]


_NOWHERE: Final = _Place(None, ())


class _Walk:
    def __init__(self, root: Root) -> None:
        self._root = root
        self._packages = {name.partition(".")[0] for name in root.modules}
        self._places: dict[str, list[_Place]] = {}
        self._found: dict[tuple[str, Path], OwnModule] = {}
        self._pending: list[str] = []

    def modules(self) -> list[OwnModule]:
        root = self._root
        content = root.file.read_bytes() if root.content is None else root.content
        self._pending += root.modules
        self._pending += _imported(content, root.package)
        while self._pending:
            self._visit(self._pending.pop())
        return sorted(self._found.values())

    def _visit(self, name: str) -> list[_Place]:
        """Return where an own module is; read it when it is met for the first time."""
        if name not in self._places:
            top = name.partition(".")[0]
            self._places[name] = [
                place
                for place in (self._candidates(name) if top != _OURS else ())
                if place.file is None or self._is_own(place.file, top)
            ]
            for place in self._places[name]:
                if place.file is not None and place.file.is_file():
                    self._read(name, place.file, is_package=bool(place.folders))
        return self._places[name]

    def _candidates(self, name: str) -> list[_Place]:
        parent = name.rpartition(".")[0]
        if parent:
            return [_below(name, place.folders) for place in self._visit(parent)]
        found = _found_by(sys.meta_path, name)
        if self._root.modules or (found.file is not None and not self._is_own(found.file, name)):
            return [found]
        # A file beside the plugin; where another one hides it, that is found out by its digest.
        beside = _in_folders(name, (str(self._root.file.resolve().parent),))
        return [found if beside == _NOWHERE else beside]

    def _read(self, name: str, file: Path, is_package: bool) -> None:
        content = file.read_bytes()
        self._found[name, file] = OwnModule(name, digest_of(content), file)
        if file.suffix in SOURCE_SUFFIXES:  # a compiled one counts by its bytes alone
            package = name if is_package else name.rpartition(".")[0]
            self._pending += _imported(content, package)

    def _is_own(self, file: Path, top: str) -> bool:
        if not _INSTALLED.isdisjoint(file.parts):
            return top in self._packages
        return not any(file.resolve().is_relative_to(library) for library in _library())


def _below(name: str, folders: Sequence[str]) -> _Place:
    """Return where a submodule is, given its package's folders."""
    place = _in_folders(name, folders)
    if place != _NOWHERE or not folders:
        return place
    # Finders of editable installs know of modules that lie elsewhere.
    others = [finder for finder in sys.meta_path if finder is not PathFinder]
    return _found_by(others, name, folders)


def _in_folders(name: str, folders: Sequence[str]) -> _Place:
    """Look for a module in folders; unlike PathFinder, without asking what its parent is now."""
    portions: list[str] = []
    for folder in folders:
        finder = get_importer(folder)
        spec = finder.find_spec(name) if finder is not None else None
        if spec is None:
            continue
        if spec.loader is not None:
            return _place_of(spec)
        portions += spec.submodule_search_locations or ()
    return _Place(None, tuple(portions))


def _found_by(finders: Sequence[Any], name: str, folders: Sequence[str] | None = None) -> _Place:
    """Ask finders for a module as an import would, but regardless of what is imported already."""
    for finder in finders:
        try:
            spec = finder.find_spec(name, folders)
        except ImportError:  # it forbids the import
            return _NOWHERE
        except KeyError:  # it asks PathFinder, which wants the parent of a namespace imported
            continue
        if spec is not None:
            return _place_of(spec)
    return _NOWHERE


def _place_of(spec: ModuleSpec) -> _Place:
    file = Path(spec.origin) if spec.has_location and spec.origin else None
    return _Place(file, tuple(spec.submodule_search_locations or ()))


def _imported(content: bytes, package: str) -> Iterator[str]:
    """Yield the absolute names of what a source imports, and of what may be submodules."""
    for level, module, names in _statements(content):
        base = module
        if level:
            ancestors = package.split(".")
            if not package or level > len(ancestors):
                continue  # Python refuses it too
            above = ancestors[: len(ancestors) - level + 1]
            base = ".".join([*above, module] if module else above)
        yield base
        for name in names:
            yield f"{base}.{name}"


@lru_cache(maxsize=4096)  # workers ask once a run
def _statements(content: bytes) -> tuple[tuple[int, str, tuple[str, ...]], ...]:
    """Return the import statements of a source: level, module, and names that follow ``from``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are given when it is imported
            tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return ()  # it cannot be imported either
    found: list[tuple[int, str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names if alias.name != "*")
            found.append((node.level, node.module or "", names))
    return tuple(found)


@cache
def _library() -> tuple[Path, ...]:
    """Return the folders of Python's own library."""
    folders = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
    return tuple(Path(folder).resolve() for folder in folders if folder)
