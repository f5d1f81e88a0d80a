"""Telling Ctrl-C from a ``KeyboardInterrupt`` that a plugin's code raises.

Both are the same kind of exception, but only Ctrl-C begins with a signal.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)  # batch systems ask so before they kill


class _Watch:
    """Whether somebody looks at signals, and whether one has come."""

    depth = 0
    came = False


@contextmanager
def signals_noticed() -> Iterator[None]:
    """Notice signals that ask this process to stop, while the context is open.

    What they do is left as it is. They come to the main thread alone, so that in any other thread
    nothing has to be looked at; workers ignore Ctrl-C, and then none comes.
    """
    if _Watch.depth == 0:
        _Watch.came = False
    _Watch.depth += 1
    undo = [_notice(number) for number in _SIGNALS] if _in_main_thread() else []
    try:
        yield
    finally:
        _Watch.depth -= 1
        for put_back in undo:
            put_back()


def is_interrupt(error: BaseException) -> bool:
    """Whether an error that came out of a plugin's code is Ctrl-C, and not the plugin's own.

    Where signals were not noticed that cannot be known, and it is taken for Ctrl-C.
    """
    return isinstance(error, KeyboardInterrupt) and (_Watch.came or _Watch.depth == 0)


def interrupted() -> bool:
    """Whether a signal has come since signals were noticed."""
    return _Watch.came


def let_interrupts_pass(error: BaseException) -> None:
    """Raise an error again if it is Ctrl-C; return if it is a plugin's fault."""
    if is_interrupt(error):
        raise error


def _notice(number: int) -> Callable[[], None]:
    """Put a handler before the one of a signal, if that is Python code; return how to undo it."""
    before = signal.getsignal(number)
    if not callable(before):
        return lambda: None

    def notice(number: int, frame: FrameType | None) -> None:
        _Watch.came = True
        before(number, frame)

    def put_back() -> None:
        if signal.getsignal(number) is notice:
            signal.signal(number, before)

    signal.signal(number, notice)
    return put_back


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
