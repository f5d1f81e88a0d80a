"""Settings of the process that a plugin may change by mistake, and that are put back after it.

They decide how numbers come out, or how this process is ended. A plugin that leaves one changed
fails, by name.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from fal_bench.errors import PluginError


@dataclass(frozen=True)
class Setting:
    """One setting of the process.

    Attributes:
        name: what changes it.
        read: returns its value, which can be compared.
        put_back: sets it to a value that was read.
        harmless: whether libraries change it too, so that it is put back without a word; only
            ``falbench check`` names it.
        initial: its value when its library is imported, if that is known.
    """

    name: str
    read: Callable[[], Any]
    put_back: Callable[[Any], object]
    harmless: bool = False
    initial: Any = None


class Surroundings:
    """The settings of this process as they are now."""

    def __init__(self) -> None:
        self._kept = {one.name: one.read() for one in _settings()}

    def changed(self) -> list[Setting]:
        """Return the settings that have another value now."""
        settings = _settings()
        for one in settings:
            if one.name not in self._kept:  # of a library that was imported since
                self._kept[one.name] = one.read() if one.initial is None else one.initial
        return [one for one in settings if one.read() != self._kept[one.name]]

    def put_back(self) -> list[Setting]:
        """Put back what has another value now, and return it."""
        changed = self.changed()
        for one in changed:
            one.put_back(self._kept[one.name])
        return changed


@contextmanager
def undisturbed(who: str) -> Iterator[None]:
    """Put the settings back when the context ends.

    Args:
        who: what is called, to begin a sentence with.

    Raises:
        PluginError: it ended without an error, and has changed one that matters.
    """
    before = Surroundings()
    try:
        yield
    except BaseException:
        before.put_back()
        raise
    if found := [one.name for one in before.put_back() if not one.harmless]:
        raise PluginError(
            f"{who} changed {', '.join(found)}, a setting of the whole process; put it back before "
            "the call returns."
        )


def _settings() -> tuple[Setting, ...]:
    torch = sys.modules.get("torch")
    numpy = sys.modules.get("numpy")
    # While they are imported they are there, but not whole.
    return (
        *(_of_torch() if hasattr(torch, "compile") else ()),
        *(_of_numpy() if hasattr(numpy, "seterr") else ()),
        *_of_python(),
        *_of_system(),
    )


@lru_cache(maxsize=1)
def _of_torch() -> tuple[Setting, ...]:
    import torch
    from torch.nn.modules import module

    return (
        Setting(
            "torch.set_default_dtype",
            torch.get_default_dtype,
            torch.set_default_dtype,
            initial=torch.float32,
        ),
        Setting(
            "torch.set_default_device",
            lambda: str(torch.get_default_device()),
            lambda kept: torch.set_default_device(None if kept == "cpu" else kept),
            initial="cpu",
        ),
        Setting(
            "torch.set_float32_matmul_precision",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
            initial="highest",
        ),
        # It cannot be left from outside; the process is the plugin's own.
        Setting("torch.inference_mode", torch.is_inference_mode_enabled, lambda _: None),
        Setting(
            "torch.set_grad_enabled",
            torch.is_grad_enabled,
            torch.set_grad_enabled,
            initial=True,
        ),
        *(
            Setting(f"torch.autocast ({kind})", partial(_autocast, kind), _put_autocast_back)
            for kind in ("cpu", "cuda")
        ),
        Setting(
            "torch.use_deterministic_algorithms",
            torch.get_deterministic_debug_mode,
            torch.set_deterministic_debug_mode,
        ),
        Setting("torch.set_num_threads", torch.get_num_threads, torch.set_num_threads),
        Setting(
            "torch.autograd.set_detect_anomaly",
            torch.is_anomaly_enabled,
            torch.autograd.set_detect_anomaly,
        ),
        _attribute("torch.backends.cuda.matmul", "allow_tf32", torch.backends.cuda.matmul),
        *(
            _attribute("torch.backends.cudnn", name, torch.backends.cudnn)
            for name in ("allow_tf32", "benchmark", "deterministic", "enabled")
        ),
        *(
            _contents(f"torch.nn.modules.module.{name}", getattr(module, name))
            for name in sorted(vars(module))
            if name.startswith("_global_") and name.endswith("_hooks")
        ),
    )


def _attribute(place: str, name: str, owner: object) -> Setting:
    return Setting(f"{place}.{name}", partial(getattr, owner, name), partial(setattr, owner, name))


def _contents(name: str, hooks: dict[Any, Any]) -> Setting:
    """Return the setting of a dictionary that all networks look into."""

    def put_back(kept: dict[Any, Any]) -> None:
        hooks.clear()
        hooks.update(kept)

    return Setting(name, lambda: dict(hooks), put_back)


def _autocast(kind: str) -> tuple[str, bool, Any]:
    import torch

    return kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)


def _put_autocast_back(kept: tuple[str, bool, Any]) -> None:
    import torch

    torch.set_autocast_enabled(kept[0], kept[1])
    torch.set_autocast_dtype(kept[0], kept[2])
    torch.clear_autocast_cache()


@lru_cache(maxsize=1)
def _of_numpy() -> tuple[Setting, ...]:
    import numpy as np

    return (Setting("numpy.seterr", np.geterr, lambda kept: np.seterr(**kept), harmless=True),)


@lru_cache(maxsize=1)
def _of_python() -> tuple[Setting, ...]:
    return (
        Setting("sys.setrecursionlimit", sys.getrecursionlimit, sys.setrecursionlimit),
        Setting("gc.disable", gc.isenabled, lambda kept: gc.enable() if kept else gc.disable()),
        Setting("os.chdir", os.getcwd, os.chdir, harmless=True),
        Setting("os.environ", lambda: dict(os.environ), _put_environment_back, harmless=True),
    )


def _put_environment_back(kept: dict[str, str]) -> None:
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update(kept)


@lru_cache(maxsize=1)
def _of_system() -> tuple[Setting, ...]:
    """Return what POSIX systems have."""
    found = []
    if sys.platform != "win32":
        import resource

        found += [
            Setting(
                f"signal.setitimer ({name})",
                partial(_runs, getattr(signal, name)),
                partial(_stop, getattr(signal, name)),
            )
            for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")
        ]
        found += [
            Setting(
                f"resource.setrlimit ({name})",
                partial(resource.getrlimit, getattr(resource, name)),
                partial(_put_limit_back, getattr(resource, name)),
            )
            for name in sorted(vars(resource))
            if name.startswith("RLIMIT_")
        ]
    if sys.platform == "linux":
        found.append(
            Setting(
                "os.sched_setaffinity",
                partial(os.sched_getaffinity, 0),
                partial(os.sched_setaffinity, 0),
            )
        )
    return tuple(found)


def _runs(timer: int) -> bool:
    return signal.getitimer(timer)[0] > 0


def _stop(timer: int, kept: bool) -> None:
    """Stop a timer that a plugin started; one that was there before and ran out stays out."""
    if not kept:
        signal.setitimer(timer, 0)


def _put_limit_back(which: int, kept: tuple[int, int]) -> None:
    import resource

    with contextlib.suppress(ValueError, OSError):  # a hard limit cannot be raised
        resource.setrlimit(which, kept)
