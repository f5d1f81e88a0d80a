"""A process of its own for code that may hang, die, or take too much memory.

The one mechanism for comparisons, checks and imports of plugins. A ``Child`` computes one function
after the other. The process outside knows which plugin's code is at work (``Calls``), ends the
child if a call takes too long or the memory is over its limit, and says how a child ended.

The child is a new interpreter and no fork, because threads, PyTorch's among them, do not survive
one. Python's own modules are looked for before those of the working directory.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Final, Literal, TypeVar

from fal_bench.errors import FalbenchError, PluginError, message_of
from fal_bench.isolation.calls import Call, Calls
from fal_bench.isolation.memory import keep_freed_memory, resident_mib

Result = TypeVar("Result")

SECONDS_TO_START: Final = 60.0
"""Seconds within which a new interpreter must have said its first word."""
SECONDS_BETWEEN_BEATS: Final = 0.5
SECONDS_BETWEEN_LOOKS: Final = 0.2
"""Memory can grow by some GiB a second."""
GRACE: Final = 10.0
"""Seconds beyond the time limit after which a silent child is ended: a call of native code that
keeps hold of Python's interpreter silences it."""

_BOOT: Final = (
    "import sys; sys.path[:] = {path}; from fal_bench.isolation.child import serve; serve()"
)


class ChildError(FalbenchError):
    """No process can be started for a plugin's code."""


@dataclass(frozen=True)
class Limits:
    """What a child may take.

    Attributes:
        seconds: longest call of a plugin's code; None for no limit.
        mib: most memory; None for no limit.
    """

    seconds: float | None = None
    mib: int | None = None


NO_LIMITS: Final = Limits()


class Ended(Exception):  # noqa: N818
    """A child ended before it had an answer.

    Args:
        how: ``"died"`` by itself, or was ended because a call took too long (``"hung"``) or
            because it took too much memory (``"too large"``).
        call: the open call of a plugin's code, if there was one.
        what: the end in words, such as ``exit code 3``, ``within 5 s`` or ``1300 MiB``.
    """

    def __init__(
        self, how: Literal["died", "hung", "too large"], call: Call | None, what: str
    ) -> None:
        super().__init__(how, call, what)
        self.how = how
        self.call = call
        self.what = what

    @property
    def deed(self) -> str:
        """What the call did, to stand behind its name."""
        return {
            "died": f"ended its process with {self.what}",
            "hung": f"did not return {self.what}",
            "too large": f"brought its process to {self.what}, which is above the limit",
        }[self.how]


class Channel:
    """The inside's way to the process outside.

    Attributes:
        calls: the calls of plugins' code, which the outside watches.
    """

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.calls = Calls(self._enter) if file is not None else Calls()

    def tell(self, event: object) -> None:
        """Send an event; ``Child.run`` passes it to its ``notify``."""
        self._send(_Event(event))

    def _enter(self, call: Call | None) -> None:
        self._send(_Entered(call, self._age()))

    def _age(self) -> float | None:
        since = self.calls.since
        return None if since is None else time.monotonic() - since

    def _send(self, message: object) -> None:
        if self._file is None:
            return
        content = pickle.dumps(message)  # first, because some objects cannot be
        with self._lock, suppress(BrokenPipeError):
            self._file.write(content)
            self._file.flush()

    def _beat(self) -> None:
        while True:
            time.sleep(SECONDS_BETWEEN_BEATS)
            try:
                self._send(_Beat(self._age()))
            except BaseException:  # a plugin has taken apart what it takes to send
                os._exit(1)


NO_CHANNEL: Final = Channel()
"""For work in this process."""


@dataclass(frozen=True)
class _Order:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class _Entered:
    call: Call | None
    age: float | None


@dataclass(frozen=True)
class _Beat:
    age: float | None


@dataclass(frozen=True)
class _Event:
    content: Any


@dataclass(frozen=True)
class _Returned:
    value: Any


@dataclass(frozen=True)
class _Raised:
    error: BaseException


class _Ready: ...


class _Gone: ...


class Child:
    """A process that computes functions for this one; it ends when this one is gone.

    Args:
        silent: whether what it prints is thrown away; it goes to standard error otherwise.

    Raises:
        ChildError: it cannot be started.
    """

    def __init__(self, *, silent: bool = False) -> None:
        # The working directory last, so that a file random.py in it hides nothing.
        path = [one for one in sys.path if one] + [os.getcwd()] * ("" in sys.path)
        try:
            self._process = _interpreter(path, silent=silent)
        except OSError as error:
            raise ChildError(f"No process can be started ({error}).") from error
        self._messages: queue.SimpleQueue[object] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        first = self._next(SECONDS_TO_START)
        if not isinstance(first, _Ready):
            ending = self.end(patience=1.0)
            raise ChildError(
                f"A new Python process for plugins ended before it could begin ({ending}); look "
                "for files in the folders of PYTHONPATH that are called as one of Python's own "
                "modules is, and for too little free memory."
            )

    def run(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        limits: Limits = NO_LIMITS,
        notify: Callable[[Any], None] = lambda _: None,
    ) -> Result:
        """Return ``function(channel, *arguments)``, computed in the child.

        Args:
            function: one that can be found by the name of its module.
            arguments: what can be pickled.
            limits: what it may take.
            notify: is called with every event that the function tells its channel.

        Raises:
            Ended: the child died, or was ended because of a limit. It is of no more use.
            Exception: what the function raised.
        """
        order = pickle.dumps(_Order(function, arguments))
        with suppress(OSError):  # its end is noticed below
            assert self._process.stdin is not None
            self._process.stdin.write(order)
            self._process.stdin.flush()
        watch = _Watch(limits)
        while True:
            gone = self._process.poll() is not None
            message = self._next(SECONDS_BETWEEN_LOOKS)
            if message is None and gone:  # something it started keeps its end of the pipe open
                message = _Gone()
            watch.note(message)
            if isinstance(message, _Event):
                notify(message.content)
            elif isinstance(message, _Returned):
                result: Result = message.value
                return result
            elif isinstance(message, _Raised):
                raise message.error
            elif isinstance(message, _Gone):
                raise Ended("died", watch.call, self.end(patience=1.0))
            if (ending := watch.over(self._process.pid)) is not None:
                self.end()
                raise ending

    def end(self, patience: float = 0.0) -> str:
        """End the process and what it has forked; return how it ended in words.

        Args:
            patience: seconds that it gets to end by itself.
        """
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        code = self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        if code < 0:
            with suppress(ValueError):
                return f"signal {signal.Signals(-code).name}"
        return f"exit code {code}"

    def _next(self, seconds: float) -> object:
        try:
            return self._messages.get(timeout=seconds)
        except queue.Empty:
            return None

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout, suppress(Exception):  # the end, or half a message
            while True:
                self._messages.put(pickle.load(self._process.stdout))  # our own child
        self._messages.put(_Gone())


def _interpreter(path: Sequence[str], *, silent: bool) -> subprocess.Popen[bytes]:
    """Start a new interpreter that serves.

    Args:
        path: the folders in which it looks for modules.
        silent: whether what it prints is thrown away.

    Raises:
        OSError: it cannot be started.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-u", "-c", _BOOT.format(path=ascii(path))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if silent else None,
        # A group of its own: what it forks ends with it, and Ctrl-C does not reach it.
        process_group=None if sys.platform == "win32" else 0,
    )


class _Watch:
    """What is known of a child at work."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.call: Call | None = None
        self._since: float | None = None
        self._heard = self._looked = time.monotonic()

    def note(self, message: object) -> None:
        now = time.monotonic()
        if message is not None:
            self._heard = now
        if isinstance(message, _Entered | _Beat):
            self._since = None if message.age is None else now - message.age
        if isinstance(message, _Entered):
            self.call = message.call

    def over(self, pid: int) -> Ended | None:
        """Return why the child has to be ended, if it has."""
        now = time.monotonic()
        if now - self._looked < SECONDS_BETWEEN_LOOKS:
            return None
        self._looked = now
        taken, most = resident_mib(pid), self._limits.mib
        if most is not None and taken is not None and taken > most:
            return Ended("too large", self.call, f"{taken} MiB")
        limit = self._limits.seconds
        if limit is None or self.call is None or self.call.ours:
            return None
        limit += self.call.patience
        late = self._since is not None and now - self._since > limit
        if late or now - self._heard > limit + GRACE:
            return Ended("hung", self.call, f"within {limit:g} s")
        return None


# In the child.


def serve() -> None:
    """Compute what the process outside asks for, until it is gone."""
    keep_freed_memory()
    orders_in, answers_out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)  # what plugins print, compiled code too, is for people
    os.close(null)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process outside
    orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                orders.put(pickle.load(orders_in))  # from the process outside
        except EOFError:
            os._exit(1)
        except BaseException as error:
            channel._send(_Raised(error))
            os._exit(1)

    channel = Channel(answers_out)
    channel._send(_Ready())
    threading.Thread(target=listen, daemon=True, name="falbench-orders").start()
    threading.Thread(target=channel._beat, daemon=True, name="falbench-beats").start()
    while True:
        order = orders.get()
        try:
            channel._send(_answer(channel, order))
        except BaseException:  # a plugin has taken apart what it takes to answer
            os._exit(1)


def _answer(channel: Channel, order: _Order) -> _Returned | _Raised:
    try:
        answer: _Returned | _Raised = _Returned(order.function(channel, *order.arguments))
    except Exception as error:
        answer = _Raised(error)
    except BaseException as error:
        answer = _Raised(PluginError(message_of(error)))
    try:
        pickle.loads(pickle.dumps(answer))  # what the process outside will do
    except Exception as error:
        what = answer.error if isinstance(answer, _Raised) else error
        answer = _Raised(
            PluginError(f"What a process answered cannot be sent: {message_of(what)}.")
        )
    return answer
