"""The source files that decide what a plugin does: its own, and its author's that it imports.

Found without running anything, so that the answer is the same in every process, whatever is
imported there: ``import`` statements are read from the source, wherever they stand.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from fal_bench.errors import PluginError

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_OURS = "fal_bench"

_imported_with: dict[str, str] = {}
"""What the files of imported modules held when they were first looked at, by module."""


def source_digest(plugin: type) -> str:
    """Return the SHA-256 of a plugin's source, and of those modules of its author that it imports.

    These are modules of the same package, and whatever is imported from outside the standard
    library, falbench and the folders of installed packages: a module beside the plugin, a package
    in development. Names and contents count, not places.

    Args:
        plugin: its class.

    Raises:
        PluginError: it has no source file, or a file was edited after it had been imported here.
    """
    own = inspect.getsourcefile(plugin)
    if own is None:
        raise PluginError(f"{plugin.__name__} has no source file; define it in a .py file.")
    module = sys.modules[plugin.__module__]
    digest = _digest(module.__name__, Path(own))
    helpers = _helpers(Path(own), module.__package__ or "", plugin.__module__.partition(".")[0])
    if not helpers:
        return digest
    lines = [digest, *(f"{name} {_digest(name, helpers[name])}" for name in sorted(helpers))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def hidden_beside(file: Path) -> str:
    """Say which module beside a plugin file it cannot import, since it would get another one.

    Returns:
        A sentence; empty if there is none.
    """
    folder = file.resolve().parent
    for name in _imports(file, ""):
        beside = [folder / f"{name}.py", folder / name / "__init__.py"]
        spec = _find(name) if any(path.is_file() for path in beside) else None
        if spec is None or spec.origin is None or not _by_the_author(spec, top=""):
            continue
        if Path(spec.origin).resolve() not in [path.resolve() for path in beside]:
            return f"it imports {name!r} from {spec.origin}, not from beside it; rename one of both"
    return ""


def _digest(module: str, file: Path) -> str:
    """Return the SHA-256 of a module's file, which must be what was imported."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if module in sys.modules and _imported_with.setdefault(module, digest) != digest:
        raise PluginError(
            f"{str(file)!r} was edited after this Python process had imported it; start it again."
        )
    return digest


def _helpers(file: Path, package: str, top: str) -> dict[str, Path]:
    """Return the author's modules that a file imports, directly or not, by name.

    Args:
        file: the plugin's file.
        package: the package that its relative imports start from; empty if it is in none.
        top: name of the top-level package, or module, that it belongs to.
    """
    found: dict[str, Path] = {}
    known = {file.resolve()}
    waiting = [(file, package)]
    while waiting:
        for name in _imports(*waiting.pop()):
            spec = _find(name)
            if spec is None or spec.origin is None or not _by_the_author(spec, top):
                continue
            path = Path(spec.origin).resolve()
            if path in known:
                continue
            known.add(path)
            found[name] = path
            inside = spec.submodule_search_locations is not None
            waiting.append((path, name if inside else name.rpartition(".")[0]))
    return found


def _imports(file: Path, package: str) -> Iterator[str]:
    """Yield the full names of all modules that a file may import, parents before children."""
    if file.suffix != ".py":
        return
    changed = file.stat()
    for level, name in _statements(file, changed.st_mtime_ns, changed.st_size):
        if level > len(package.split(".") if package else ()):
            continue  # fails when it is run
        absolute = importlib.util.resolve_name("." * level + name, package) if level else name
        parts = absolute.rstrip(".").split(".")
        yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


@cache
def _statements(file: Path, _changed: int, _size: int) -> tuple[tuple[int, str], ...]:
    """Return the names that a file imports, with the number of dots before each."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return ()  # such as a module for another Python, which nobody imports here
    names: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = f"{node.module}." if node.module else ""
            # What is imported from a package may be a module of it.
            names += [(node.level, f"{start}{alias.name}") for alias in node.names]
    return tuple(dict.fromkeys(names))


def _find(name: str) -> ModuleSpec | None:
    """Find a module without importing its parents, as ``importlib.util.find_spec`` would."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(f"{spec.name}.{part}", list(spec.submodule_search_locations))
    return spec


def _by_the_author(spec: ModuleSpec, top: str) -> bool:
    first = spec.name.partition(".")[0]
    if spec.origin is None or first == _OURS or not spec.has_location:
        return False
    if first == top:
        return True
    path = Path(spec.origin).resolve()
    return not _INSTALLED & set(path.parts) and not any(
        path.is_relative_to(folder) for folder in _standard_library()
    )


@cache
def _standard_library() -> tuple[Path, ...]:
    return tuple(
        Path(folder).resolve()
        for name, folder in sysconfig.get_paths().items()
        if name in ("stdlib", "platstdlib")
    )
