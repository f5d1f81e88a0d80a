"""Ctrl-C and a ``KeyboardInterrupt`` that somebody raises."""

import os
import signal
import threading

import pytest

from fal_bench.isolation.interrupts import is_interrupt, signals_noticed


@pytest.fixture(autouse=True)
def usual_handler():
    """Where the tests run in the background, Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def caught():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(5)
    except KeyboardInterrupt as error:
        return error
    raise AssertionError("no signal came")


def test_only_a_signal_is_an_interrupt():
    with signals_noticed():
        assert not is_interrupt(KeyboardInterrupt("raised"))
        with signals_noticed():
            assert is_interrupt(caught())
        assert is_interrupt(KeyboardInterrupt("passed on"))
        assert not is_interrupt(RuntimeError("raised"))
    with signals_noticed():  # as the next run in a notebook
        assert not is_interrupt(KeyboardInterrupt("raised"))


def test_where_nothing_looks_it_is_taken_for_an_interrupt():
    assert is_interrupt(KeyboardInterrupt("raised"))


def test_handlers_are_put_back_and_an_ignored_signal_stays_ignored():
    with signals_noticed():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with signals_noticed():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_needs_no_handler():
    verdicts = []

    def work():
        with signals_noticed():
            verdicts.append(is_interrupt(KeyboardInterrupt("raised")))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert verdicts == [False]
