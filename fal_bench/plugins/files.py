"""Plugin files: where they are, how they are imported, and what becomes of edited ones.

Python imports a module once. A process may go on while its plugins are edited, as a notebook or a
worker does; it must then import them again, or runs would be computed by old code under the key of
the new one.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.machinery import SOURCE_SUFFIXES, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Final

from fal_bench.errors import InvalidSpecError, PluginError
from fal_bench.isolation.surroundings import undisturbed
from fal_bench.plugins.own_code import OwnModule, Root, digest_of, own_modules

if TYPE_CHECKING:
    from fal_bench.plugins.given import Given

VARIABLE = "FALBENCH_PLUGINS"

PREFIX: Final = "falbench_plugin_"
"""What names of modules begin with that are plugin files."""

_SEEN: Final[dict[tuple[str, Path], str]] = {}
"""Digests of the own modules, by name and file, when this process first had to do with them."""


def plugin_sources(given: Sequence[str | Path | Given] = ()) -> tuple[Path | Given, ...]:
    """Return the plugin files and folders of ``FALBENCH_PLUGINS`` and those given, each once.

    Args:
        given: files or folders, or plugins given in Python; they come after those of the
            environment variable, whose entries are separated as those of ``PATH`` are.
    """
    listed = [text for text in os.environ.get(VARIABLE, "").split(os.pathsep) if text]
    sources = [Path(one) if isinstance(one, str) else one for one in [*listed, *given]]
    return tuple({one.resolve(): one for one in sources}.values())


def python_files(path: Path) -> list[Path]:
    """Return a plugin file, or the ``*.py`` files of a folder of plugins but for their tests.

    Raises:
        InvalidSpecError: there is no such file or folder.
    """
    if path.is_dir():
        return [file for file in sorted(path.glob("[!._]*.py")) if not _is_test(file)]
    if path.is_file():
        return [path]
    raise InvalidSpecError(
        f"There is no plugin file or folder {str(path)!r}; check the path and {VARIABLE}."
    )


def is_imported(file: Path) -> bool:
    """Whether a file of this content is imported in this process."""
    return _module_name(file) in sys.modules


def import_file(file: Path) -> ModuleType:
    """Return the module of a file, which is imported once per content.

    Modules beside it can be imported, as from a script.

    Raises:
        PluginError: it changed a setting of the process.
    """
    name = _module_name(file)
    if name in sys.modules:
        return sys.modules[name]
    loader = _FromSource(name, str(file.absolute()))  # as tracebacks should name it
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that it hides nothing
    own = own_modules(Root(file))
    note(own)
    _forget_bytecode(own)
    sys.modules[name] = module
    try:
        with undisturbed("its import"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _FromSource(SourceFileLoader):
    """Compiles a file whenever it is imported.

    Python takes a bytecode file for current if the source has the same size and was written in the
    same second. Two versions of a plugin can share both.
    """

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - the loader's interface
        """Return the code of the file as it is now."""
        return self.source_to_code(self.get_data(self.path), self.path)


def _forget_bytecode(modules: Iterable[OwnModule]) -> None:
    """Remove the bytecode files of modules, for the reason that ``_FromSource`` gives."""
    for module in modules:
        if module.file.suffix in SOURCE_SUFFIXES:
            with suppress(OSError):  # there is none, or the folder is read-only
                Path(importlib.util.cache_from_source(str(module.file))).unlink()


def note(modules: Iterable[OwnModule]) -> None:
    """Keep in mind what own modules were like when they were imported."""
    for module in modules:
        _SEEN.setdefault((module.name, module.file), module.digest)


def edited(modules: Iterable[OwnModule]) -> str | None:
    """Return the name of a module whose file changed since it was first noted, if there is one."""
    for module in modules:
        if _SEEN.get((module.name, module.file), module.digest) != module.digest:
            return module.name
    return None


def forget_edited() -> None:
    """If an own module was edited, have plugins and their modules imported again.

    All of them, because an unedited one may hold objects of an edited one.
    """
    importlib.invalidate_caches()
    if all(_digest(file) == digest for (_, file), digest in _SEEN.items()):
        return
    for name, _ in _SEEN:
        _forget(name)
    for name in [name for name in sys.modules if name.startswith(PREFIX)]:
        _forget(name)
    _SEEN.clear()


def check_imported(plugin: str, modules: Iterable[OwnModule]) -> None:
    """Check that what this process imported under a name is what a plugin would import.

    Args:
        plugin: its name.
        modules: its own modules.

    Raises:
        PluginError: it is another file of the same name.
    """
    digests: dict[str, set[str]] = {}
    files: dict[str, Path] = {}
    for module in modules:
        digests.setdefault(module.name, set()).add(module.digest)
        files[module.name] = module.file
    for name, expected in digests.items():
        imported = getattr(sys.modules.get(name), "__file__", None)
        if imported is not None and _digest(Path(imported)) not in expected:
            raise PluginError(
                f"Plugin {plugin!r} has a module {name!r} ({files[name]}), but {imported} of the "
                "same name is imported already; rename one of the two, or restart Python."
            )


def _module_name(file: Path) -> str:
    content = str(file.resolve()).encode() + b"\0" + file.read_bytes()
    return f"{PREFIX}{file.stem}_{hashlib.sha256(content).hexdigest()[:12]}"


def _is_test(file: Path) -> bool:
    return file.name.startswith("test_") or file.name == "conftest.py"


def _digest(file: Path) -> str | None:
    try:
        return digest_of(file.read_bytes())
    except OSError:
        return None


def _forget(name: str) -> None:
    module = sys.modules.pop(name, None)
    parent, _, tail = name.rpartition(".")
    package = sys.modules.get(parent)
    if module is not None and getattr(package, tail, None) is module:
        delattr(package, tail)  # where "from package import module" looks first
