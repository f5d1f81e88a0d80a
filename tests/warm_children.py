"""Children of the tests are forks of one process that has imported PyTorch.

A new interpreter takes two seconds to import it, and the tests start more than a hundred. A child
does the same from its first order on. Tests of how children start and end (``tests/isolation``),
and those that run the command as another process, have new interpreters as users have.
"""

import math
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from multiprocessing import forkserver, reduction

import pytest

from fal_bench.isolation import child

IMPORTED = ["torch", "pandas", "fal_bench.sweep.worker", "fal_bench.conformance.runner"]


def serve(pipes, path, environment, folder):
    """Become what a new interpreter would be."""
    os.setpgid(0, 0)
    for number, pipe in enumerate(pipes):
        end = pipe.detach()
        os.dup2(end, number)
        os.close(end)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = path
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # nearly as python -u
    child.serve()


class Forked:
    """A fork with the face of a ``subprocess.Popen``."""

    def __init__(self, context, path, *, silent):
        orders, stdin = os.pipe()
        stdout, answers = os.pipe()
        errors = os.open(os.devnull, os.O_WRONLY) if silent else os.dup(2)
        self.stdin, self.stdout = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")
        self._process = context.Process(
            target=serve,
            args=(Pipes(orders, answers, errors), path, dict(os.environ), os.getcwd()),
            daemon=True,
        )
        self._process.start()
        for pipe in (orders, answers, errors):
            os.close(pipe)
        self.pid = self._process.pid
        self._asked = threading.Lock()

    def poll(self):
        with self._asked:  # the exit code can be read once, by one thread
            return self._process.exitcode

    def wait(self, timeout=None):
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a fork", timeout)
            time.sleep(0.005)
        return self.poll()

    def kill(self):
        self._process.kill()


class Pipes:
    """Ends of pipes; they travel to a process that is being started."""

    def __init__(self, *ends):
        self.ends = ends

    def __reduce__(self):
        return list, ([reduction.DupFd(end) for end in self.ends],)


@pytest.fixture(scope="session")
def nursery():
    """Where forks come from; None where PyTorch does not survive one."""
    if sys.platform != "linux":
        return None
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    forkserver.ensure_running()  # now, while the folder of its socket has a short name
    return context


@pytest.fixture(autouse=True)
def warm_children(nursery, monkeypatch):
    """Start children as forks."""
    if nursery is not None:
        monkeypatch.setattr(
            child, "_interpreter", lambda path, silent: Forked(nursery, path, silent=silent)
        )
