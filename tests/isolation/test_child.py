"""Real processes that die, hang, fill their memory, fork and lie."""

import os
import platform
import resource
import signal
import sys
import threading
import time

import psutil
import pytest

from fal_bench.errors import PluginError, UnknownNameError
from fal_bench.isolation import child as child_module
from fal_bench.isolation.calls import Call
from fal_bench.isolation.child import Child, ChildError, Ended, Limits

MIB = 2**20
CALL = Call("Strategy 'mine'", "cycle 1", ("some run",))


@pytest.fixture
def child(monkeypatch):
    """A child that finds the functions of this module."""
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    monkeypatch.setattr(child_module, "GRACE", 0.5)
    child = Child()
    yield child
    child.end()


def call(channel, function, *arguments):
    with channel.calls.open(CALL):
        return function(*arguments)


def fill():
    kept = []
    while True:
        kept.append(bytearray(10**7))
        time.sleep(0.001)


def hold_the_interpreter():
    time.sleep(0.6)  # until a beat has been sent
    list(iter(int, 1))  # native code that never lets go


def take_many_steps(channel, seconds):
    with channel.calls.open(Call("Trainer 'mine'", steps=True)):
        for _ in range(10):
            with channel.calls.step():
                time.sleep(seconds / 10)
            time.sleep(0.01)


def fork_and_go_on(channel):
    with channel.calls.open(CALL):
        os.fork()
    return os.getpid()


def fork_and_leave(channel):
    with channel.calls.open(CALL):
        if os.fork() == 0:
            os._exit(0)
        os.wait()
    return "well"


def leave_a_process(channel):
    if (copy := os.fork()) == 0:
        time.sleep(3600)
    return copy


def events(channel, count):
    for number in range(count):
        channel.tell(number)
    return sys.stdin.read(), threading.active_count()


class OddError(Exception):
    def __init__(self, one, two):
        super().__init__(one)


def fail(channel, error):
    raise OddError(1, 2) if error is None else error


def sleeping_steps(channel):
    with channel.calls.open(Call("Trainer 'mine'", steps=True)), channel.calls.step():
        time.sleep(3600)


@pytest.mark.parametrize(
    ("function", "limits", "how", "what"),
    [
        (lambda child, run: run(call, os._exit, 3), Limits(), "died", "exit code 3"),
        (lambda child, run: run(call, os.abort), Limits(), "died", "signal SIGABRT"),
        (lambda child, run: run(call, time.sleep, 3600), Limits(0.5), "hung", "within 0.5 s"),
        (lambda child, run: run(call, hold_the_interpreter), Limits(0.5), "hung", "within 0.5 s"),
        (lambda child, run: run(call, fill), Limits(None, 200), "too large", "MiB"),
    ],
    ids=["leaves", "crashes", "sleeps", "holds the interpreter", "fills the memory"],
)
def test_how_a_process_ended_and_who_was_at_work(child, function, limits, how, what):
    with pytest.raises(Ended) as ended:
        function(child, lambda *order: child.run(*order, limits=limits))
    assert ended.value.how == how
    assert what in ended.value.what
    assert ended.value.call == CALL


def test_a_step_that_hangs_is_ended_and_a_long_training_is_not(child):
    child.run(take_many_steps, 2.0, limits=Limits(1.0))
    with pytest.raises(Ended, match="hung"):
        child.run(sleeping_steps, limits=Limits(0.5))


def test_answers_events_and_errors_come_back(child):
    told = []
    text, _ = child.run(events, 3, notify=told.append)
    assert told == [0, 1, 2]
    assert text == ""
    with pytest.raises(ValueError, match="mine"):
        child.run(fail, ValueError("mine"))
    with pytest.raises(PluginError, match="KeyboardInterrupt: mine"):
        child.run(fail, KeyboardInterrupt("mine"))
    with pytest.raises(PluginError, match="Odd"):
        child.run(fail, None)
    assert child.run(events, 0)[0] == ""  # it still works


def test_a_copy_that_comes_back_is_ended_and_named(child):
    with pytest.raises(PluginError, match=r"'mine'.*fork"):
        child.run(fork_and_go_on)
    assert child.run(fork_and_leave) == "well"


def test_what_it_forked_ends_with_it(child):
    copy = psutil.Process(child.run(leave_a_process))
    child.end()
    assert not psutil.wait_procs([copy], timeout=5)[1] or copy.status() == psutil.STATUS_ZOMBIE


def test_it_ends_when_the_process_outside_is_gone(tmp_path):
    code = (
        "import time\nfrom fal_bench.isolation.child import Child\n"
        "child = Child()\nprint(child._process.pid, flush=True)\ntime.sleep(3600)"
    )
    outside = psutil.Popen([sys.executable, "-c", code], stdout=-1, cwd=tmp_path)
    inside = psutil.Process(int(outside.stdout.readline()))
    outside.send_signal(signal.SIGKILL)
    outside.wait()
    outside.stdout.close()
    assert not psutil.wait_procs([inside], timeout=5)[1]


@pytest.mark.parametrize("name", ["random", "select", "types", "json", "queue"])
def test_a_file_of_the_working_directory_hides_no_module_of_python(tmp_path, monkeypatch, name):
    (tmp_path / f"{name}.py").write_text("raise SystemExit(5)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    child = Child()
    assert child.run(module_of, name) != str(tmp_path)
    child.end()


def module_of(channel, name):
    module = __import__(name)
    return os.path.dirname(getattr(module, "__file__", "") or "")


def test_one_that_cannot_begin_is_an_error_with_its_ending(monkeypatch):
    monkeypatch.setattr(child_module, "_BOOT", "import sys; sys.exit(5)  # {path}")
    with pytest.raises(ChildError, match="exit code 5"):
        Child()


def test_every_error_of_ours_comes_back(child):
    with pytest.raises(UnknownNameError, match=r"'logi'.*'logo'") as raised:
        child.run(fail, UnknownNameError("strategy", "logi", ["logo"]))
    assert str(raised.value) == str(UnknownNameError("strategy", "logi", ["logo"]))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it keeps what it frees by glibc")
def test_it_keeps_what_it_frees_for_what_it_takes_next(child):
    assert child.run(pages_cleared, 10) < 10 * 16 * MIB / resource.getpagesize()


def pages_cleared(channel, times):
    """Take and free 64 MiB several times; return for how many pages the system was asked."""
    for number in range(times + 1):
        if number == 1:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        [bytearray(16 * MIB) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
