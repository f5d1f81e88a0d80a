"""Plugins given as Python objects: classes and functions of a notebook, a script or a module.

Those of a module behave as if its file had been named. Those of ``__main__`` have no file that
workers could import, so they travel by value. What identifies them is a digest of their source and
of everything of ``__main__`` that it names, directly or not: functions, classes and constants.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import linecache
import pickle
import symtable
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from linecache import getlines
from pathlib import Path, PurePath
from typing import Any, Final

from fal_bench.errors import InvalidSpecError, PluginError, message_of
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.built_in import code_of, kind_of, name_of
from fal_bench.plugins.files import edited, forget_edited, note
from fal_bench.plugins.own_code import OwnModule, Root, digest_of, own_modules
from fal_bench.plugins.registry import Registry

MAIN: Final = "__main__"

_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes, type(...), PurePath)


@dataclass(frozen=True)
class Given:
    """A plugin of ``__main__``, which travels to workers by value.

    Attributes:
        name: its name.
        fingerprint: what identifies its behaviour in a run's key.
        payload: the pickled plugin.
        modules: the modules of its author's that it imports.
        plugin: the plugin itself, in the process that it was defined in.
    """

    name: str
    fingerprint: str
    payload: bytes = field(repr=False, compare=False)
    modules: tuple[OwnModule, ...] = field(default=(), compare=False)
    plugin: Any = field(default=None, repr=False, compare=False)

    def load(self) -> Any:
        """Return the plugin."""
        return self.plugin if self.plugin is not None else _unpickled(self)

    def resolve(self) -> Given:
        """Return itself: unlike a path, it means the same everywhere."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Given, (self.name, self.fingerprint, self.payload, self.modules)


Source = Path | Given
"""Where plugins come from: a file or folder, or a plugin given in Python."""


def named(strategies: object) -> tuple[Any, list[Source]]:
    """Return names in place of the strategies that are given as classes or objects.

    Args:
        strategies: a name, a class or an object, or several of them.

    Returns:
        The same, where a class is a name and an object a name with parameters; and where to find
        them.

    Raises:
        InvalidSpecError: a class is no strategy, or cannot be identified.
        PluginError: it cannot be sent to workers.
    """
    if kind_of(strategies) is not None or kind_of(type(strategies)) is not None:
        strategies = [strategies]
    if isinstance(strategies, str) or not isinstance(strategies, Sequence):
        return strategies, []
    names: list[object] = []
    sources: list[Source] = []
    for one in strategies:
        plugin: Any = one if isinstance(one, type) else type(one)
        kind = kind_of(plugin)
        if isinstance(one, str) or kind is None or kind.word != "strategy":
            names.append(one)
            continue
        params = {} if plugin is one else one.params.model_dump(mode="json", exclude_defaults=True)
        names.append(str(Selector(plugin.name, params)))
        sources += given((plugin,))
    return names, list(dict.fromkeys(sources))


def given(plugins: Sequence[object]) -> tuple[Source, ...]:
    """Return where to find plugins that are named by a path or given as objects.

    Args:
        plugins: files, folders, classes, and decorated functions.

    Raises:
        InvalidSpecError: one is none of these, or cannot be identified.
        PluginError: one cannot be sent to workers.
    """
    return tuple(dict.fromkeys(found for one in plugins if (found := _source_of(one)) is not None))


def _source_of(one: object) -> Source | None:
    """Return where a plugin is found; None if it is there without being named."""
    if isinstance(one, str | Path):
        return Path(one)
    kind = kind_of(one)
    if kind is None:
        raise InvalidSpecError(
            f"{one!r} is no plugin; give a file or folder, a named subclass of Strategy, Trainer "
            "or Aggregation, or a function that is decorated as a data set, model or metric."
        )
    code, name = code_of(one), name_of(one)
    if "<locals>" in code.__qualname__:
        raise InvalidSpecError(
            f"The {kind.word} {name!r} is defined inside a function, where workers cannot find it; "
            "define it at the top level."
        )
    if code.__module__ == MAIN:
        return _by_value(name, one)
    table = next(table for table in Registry.discover().tables() if table.kind == kind)
    if name in table.names() and code_of(table.load(name)).__module__ == code.__module__:
        return None
    file = getattr(sys.modules.get(code.__module__), "__file__", None)
    if file is None:
        raise InvalidSpecError(
            f"The {kind.word} {name!r} is of the module {code.__module__!r}, which has no file; "
            "define it in a .py file."
        )
    return Path(file)


def _by_value(name: str, plugin: Any) -> Given:
    import cloudpickle

    digest = _Digest(name)
    fingerprint = digest.of(code_of(plugin))
    try:
        payload = cloudpickle.dumps(plugin)
    except Exception as error:
        raise PluginError(
            f"Plugin {name!r} cannot be sent to workers ({message_of(error)}); define it in a "
            ".py file."
        ) from error
    return Given(name, fingerprint, payload, digest.modules(), plugin)


@functools.lru_cache(maxsize=32)
def _unpickled(plugin: Given) -> Any:
    note(plugin.modules)
    try:
        return pickle.loads(plugin.payload)
    except Exception as error:
        raise PluginError(
            f"Plugin {plugin.name!r} cannot be loaded in a worker ({message_of(error)}); define "
            "it in a .py file."
        ) from error


class _Digest:
    """What identifies a class or function of ``__main__``.

    Args:
        plugin: the plugin's name, for messages.
    """

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._lines: dict[str, str] = {}
        self._imported: set[str] = set()

    def of(self, code: Any) -> str:
        """Return the digest of a class or function and of what it names."""
        self._visit(code)
        lines = [f"{name} {text}" for name, text in self._lines.items()]
        lines += [f"{module.name} {module.digest}" for module in self.modules()]
        return f"source {digest_of(chr(10).join(sorted(lines)).encode())}"

    def modules(self) -> tuple[OwnModule, ...]:
        """Return the modules of the author's among those that were met.

        Raises:
            PluginError: one was edited since it was imported here.
        """
        content = "\n".join(f"import {name}" for name in sorted(self._imported)).encode()
        found = own_modules(Root(Path.cwd() / "main.py", content=content))
        changed = edited(found)
        if changed is not None:
            forget_edited()
            raise PluginError(
                f"Plugin {self._plugin!r} uses the module {changed!r}, which was edited since it "
                "was imported; import it again, and define the plugin again."
            )
        note(found)
        return tuple(found)

    def _visit(self, code: Any) -> None:
        if code.__qualname__ in self._lines:
            return
        source = _source(code)
        if source is None:
            raise InvalidSpecError(
                f"The source of {code.__qualname__!r}, which plugin {self._plugin!r} uses, cannot "
                "be found; define it in a .py file."
            )
        self._lines[code.__qualname__] = digest_of(source.encode())
        namespace = vars(sys.modules[MAIN])
        for name in sorted(_names(source)):
            if name in namespace:
                self._lines[f"name {name}"] = self._described(name, namespace[name])

    def _described(self, name: str, value: Any) -> str:
        """Return words that identify a value of ``__main__``."""
        within = functools.partial(self._described, name)
        if isinstance(value, types.ModuleType):
            return self._module(name, value.__name__, value)
        if isinstance(value, type | types.FunctionType):
            if value.__module__ == MAIN:
                self._visit(value)
                return f"own {value.__qualname__}"
            return self._module(name, value.__module__, value)
        if isinstance(value, _PLAIN):
            return repr(value)
        if isinstance(value, enum.Enum):
            return f"{within(type(value))}.{value.name}"
        if isinstance(value, tuple | list):
            return f"[{', '.join(map(within, value))}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(map(within, value)))}}}"
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{within(k)}: {within(v)}' for k, v in value.items())}}}"
        if isinstance(value, functools.partial):
            return within([value.func, value.args, value.keywords])
        if dataclasses.is_dataclass(value):
            parts = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
            return f"{within(type(value))} {within(parts)}"
        if isinstance(arguments := typing.get_args(value), tuple) and arguments:
            return f"{value!r} {within([one for one in arguments if isinstance(one, type)])}"
        return self._special(name, value)

    def _special(self, name: str, value: Any) -> str:
        """Return words that identify what libraries define: parameters, arrays, their types."""
        import numpy as np
        from pydantic import BaseModel

        within = functools.partial(self._described, name)
        if isinstance(value, BaseModel):
            return f"{within(type(value))} {within(value.model_dump())}"
        if hasattr(value, "params") and kind_of(type(value)) is not None:
            return f"{within(type(value))} {within(value.params)}"
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor) and value.grad_fn is None:
            value = value.detach().numpy(force=True)
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            content = digest_of(np.ascontiguousarray(value).tobytes())
            return f"array {value.dtype} {value.shape} {content}"
        if isinstance(value, np.generic | np.dtype) or type(value).__module__ in (
            "torch",
            "typing",
        ):
            return repr(value)
        module, own = getattr(value, "__module__", None), getattr(value, "__name__", None)
        if callable(value) and isinstance(module, str) and isinstance(own, str) and module != MAIN:
            return f"{module}.{own}"  # compiled functions
        raise InvalidSpecError(
            f"Plugin {self._plugin!r} uses {name!r}, a {type(value).__name__} whose content cannot "
            "identify it; make it a constant, make it where it is used, or put it into a .py file."
        )

    def _module(self, name: str, module: str, value: Any) -> str:
        """Note that a module is used; return words that identify what is used of it."""
        self._imported.add(module)
        there = sys.modules.get(module)
        whole = value is there
        if there is None or (isinstance(value, types.ModuleType) and not whole):
            raise PluginError(
                f"Plugin {self._plugin!r} uses {name!r} of the module {module!r}, which is not the "
                "one that would be imported now; import it again, and define the plugin again."
            )
        return f"module {module}" if whole else f"{module}.{value.__qualname__}"


def _names(source: str) -> set[str]:
    """Return the global names that a source uses."""
    found: set[str] = set()

    def walk(table: symtable.SymbolTable) -> None:
        top = table.get_type() == "module"
        found.update(
            one.get_name()
            for one in table.get_symbols()
            if one.is_referenced() and (top or one.is_global())
        )
        for child in table.get_children():
            walk(child)

    walk(symtable.symtable(source, "plugin", "exec"))
    return found


def _source(code: Any) -> str | None:
    """Return the source of a class or function with its decorators, also that of a notebook."""
    own = (
        [code.__code__]
        if not isinstance(code, type)
        else [one.__code__ for one in _functions(code) if getlines(one.__code__.co_filename)]
    )
    first = own[0].co_firstlineno if own else None
    for lines in [getlines(own[0].co_filename)] if own else _cells():
        found = _definition(lines, code.__qualname__.split("."), first)
        if found is not None:
            return textwrap.dedent("".join(found))
    return None


def _definition(lines: list[str], path: list[str], inside: int | None) -> list[str] | None:
    """Return the lines of the last definition of a name that holds a line, if any is asked for."""
    try:
        scope: list[ast.stmt] = ast.parse("".join(lines)).body
    except SyntaxError:
        return None
    start = end = 0
    for name in path:
        fitting = [
            one
            for tree in scope
            for one in ast.walk(tree)
            if isinstance(one, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and one.name == name
            and (inside is None or _first_line(one) <= inside <= (one.end_lineno or 0))
        ]
        if not fitting:
            return None
        start, end, scope = _first_line(fitting[-1]), fitting[-1].end_lineno or 0, fitting[-1].body
    return lines[start - 1 : end]


def _first_line(definition: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the line at which a definition begins, with its decorators."""
    return min([definition.lineno, *(one.lineno for one in definition.decorator_list)])


def _functions(code: type) -> Iterator[types.FunctionType]:
    """Yield the functions that a class defines."""
    for value in vars(code).values():
        wrapped = (value.fget, value.fset) if isinstance(value, property) else (value,)
        for one in wrapped:
            function = getattr(one, "__func__", one)
            if not isinstance(function, types.FunctionType):
                continue
            if function.__globals__ is vars(sys.modules[MAIN]):  # wrappers of libraries are not
                yield function


def _cells() -> Iterator[list[str]]:
    """Yield the lines of what may define a class without functions, the latest first."""
    for entry in reversed(list(linecache.cache.values())):
        if len(entry) == 4 and entry[1] is None:  # has no file: a cell of a notebook
            yield entry[2]
    file = getattr(sys.modules[MAIN], "__file__", None)
    if file is not None:
        yield getlines(file)
