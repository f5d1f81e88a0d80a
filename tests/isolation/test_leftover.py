"""Threads that plugins leave running do not keep a process from its end."""

import os
import subprocess
import sys

import pytest

STRATEGIES = {
    "prefetching.__init__": "threading.Thread(target=time.sleep, args=(3600,), "
    "name='my-prefetcher').start()",
    "pooling": "ThreadPoolExecutor(1).submit(time.sleep, 3600)",
}

ENDING = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from fal_bench.isolation.leftover import leave_despite_threads
{work}
leave_despite_threads(7, lambda names: print("left:", *names), patience=0.5)
print("last words", end=" ")
sys.exit(7)
"""


def python(code, *arguments, timeout=90):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=timeout,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture
def falbench_process(tmp_path, write_plugin):
    write_plugin(tmp_path / "threads.py", STRATEGIES)

    def run(*arguments):
        return python("from fal_bench.cli import main; main()", *arguments)

    return run


@pytest.mark.parametrize(
    ("work", "left"),
    [
        ("threading.Thread(target=time.sleep, args=(3600,), name='mine').start()", "left: mine\n"),
        ("ThreadPoolExecutor(1, 'busy').submit(time.sleep, 3600)", "left: busy_0\n"),
        ("pool = ThreadPoolExecutor(1); pool.submit(int)", ""),
        ("threading.Thread(target=time.sleep, args=(0.1,)).start()", ""),
        ("threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()", ""),
    ],
)
def test_only_threads_that_do_not_end_are_left_behind(work, left):
    # Threads that end have as long as a busy machine may need.
    code = ENDING.format(work=work).replace("0.5", "0.5" if left else "60")
    ended = python(code, timeout=90)
    assert ended.returncode == 7
    assert ended.stdout == f"last words {left}"


def test_a_process_without_such_threads_ends_at_once():
    code = ENDING.format(work="").replace("0.5", "60")
    assert python(code, timeout=30).returncode == 7


@pytest.mark.parametrize("backend", ["processes", "sequential"])
def test_a_comparison_ends_with_its_table_a_warning_and_no_workers(
    falbench_process, suite, tmp_path, backend
):
    # Captured output ends only when the last process that can write to it has ended.
    ended = falbench_process(
        "compare", "--suite", suite, "--task", "a", "--seeds", "1", "-s", "prefetching,pooling",
        "--plugin", tmp_path / "threads.py", "--backend", backend, "--out", tmp_path / "out",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "Wrote " in ended.stdout
    assert "'my-prefetcher'" in ended.stderr
    assert "leaked" not in ended.stderr


def test_threads_of_workers_alone_do_not_hold_up_the_end(falbench_process, suite, tmp_path):
    ended = falbench_process(
        "compare", "--suite", suite, "--task", "a", "--seeds", "1", "-s", "pooling",
        "--plugin", tmp_path / "threads.py", "--out", tmp_path / "out", "--jobs", "1",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr.count("Warning")


def test_a_wrong_input_keeps_its_exit_code(falbench_process, suite, tmp_path, write_plugin):
    plugin = write_plugin(tmp_path / "at_import.py", STRATEGIES, tail="Prefetching()\n")
    ended = falbench_process(
        "compare", "-s", "prefetching,nosuch", "--plugin", plugin, "--suite", suite
    )
    assert ended.returncode == 2
    assert "Unknown strategy 'nosuch'" in ended.stderr
    assert "'my-prefetcher'" in ended.stderr


def test_a_check_of_such_a_strategy_ends(falbench_process, tmp_path):
    ended = falbench_process(
        "check", tmp_path / "threads.py", "--only", "params", "--only", "returns"
    )
    assert ended.returncode == 0, ended.stdout
    assert "prefetching passes" in ended.stdout
