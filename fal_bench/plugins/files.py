"""Plugin files: where they are, and the classes they define."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.edits import PREFIX, note
from fal_bench.plugins.own_code import Root, own_modules

VARIABLE = "FALBENCH_PLUGINS"


def plugin_paths(given: Sequence[str | Path] = ()) -> tuple[Path, ...]:
    """Return the plugin files and folders of ``FALBENCH_PLUGINS`` and those given, each once.

    Args:
        given: files or folders; they come after those of the environment variable, whose entries
            are separated as those of ``PATH`` are.
    """
    listed = [text for text in os.environ.get(VARIABLE, "").split(os.pathsep) if text]
    return tuple({path.resolve(): path for path in map(Path, [*listed, *given])}.values())


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


def classes_in(file: Path, bases: tuple[type, ...]) -> Iterator[type]:
    """Import a file under a name of its own and yield the named plugins it defines.

    A file is imported once per content, so that its classes stay the same objects.

    Args:
        file: the file.
        bases: plugin base classes.
    """
    module = import_file(file)
    for member in vars(module).values():
        defined_here = isinstance(member, type) and member.__module__ == module.__name__
        if defined_here and issubclass(member, bases) and "name" in vars(member):
            yield member


def is_imported(file: Path) -> bool:
    """Whether a file of this content is imported in this process."""
    return _module_name(file) in sys.modules


def import_file(file: Path) -> ModuleType:
    """Return the module of a file, which is imported once per content.

    Modules beside it can be imported, as from a script.
    """
    name = _module_name(file)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that it hides nothing
    note(own_modules(Root(file)))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_name(file: Path) -> str:
    content = str(file.resolve()).encode() + b"\0" + file.read_bytes()
    return f"{PREFIX}{file.stem}_{hashlib.sha256(content).hexdigest()[:12]}"


def _is_test(file: Path) -> bool:
    return file.name.startswith("test_") or file.name == "conftest.py"
