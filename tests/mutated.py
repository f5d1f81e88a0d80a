"""One change to one file of a results folder, and whether what is shown afterwards can be trusted.

A change is harmless if everything that is shown stays as it was. Else the run that it hit must be
named and left out, and a comparison must be able to set it aside and run it again.
"""

import os
import shutil
from dataclasses import dataclass

import numpy as np
from stored import ENVIRONMENT, METRICS, charges, row, spec, store_run

from fal_bench import load
from fal_bench.federation.state import RunState
from fal_bench.results.sessions import read_sessions, recorded_session
from fal_bench.results.store import Corrupt, Store

FILES = ["curve.csv", "ledger.csv", "memory.npz", "run.json", "status.json"]
"""What a finished run consists of."""

AGENT = [{"policy": {"weights": np.arange(6.0)}}, {}]
BEGUN = 2
"""Cycles that the partial runs have behind them."""

SPECS = {name: spec(seed=seed) for seed, name in enumerate(FILES)}
"""Finished runs: one to be damaged for each file."""

UNHARMED = spec("logo[n_init=4]", seed=9)
"""One more, whose files may come to lie in the place of others."""

HALF = {"one": spec(seed=7), "two": spec("logo[n_init=4]", seed=8)}


# Changes: each takes a path, the path of the same file of another run, and a random stream.


def bit(path, other, rng):
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(content)


def digit(path, other, rng):
    content = bytearray(path.read_bytes())
    places = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
    place = rng.choice(places)
    content[place] = ord("0") + (content[place] - ord("0") + rng.integers(1, 10)) % 10
    path.write_bytes(content)


def _lines(change):
    def changed(path, other, rng):
        lines = path.read_bytes().splitlines(keepends=True)
        change(lines, int(rng.integers(len(lines))), rng)
        path.write_bytes(b"".join(lines))

    changed.__name__ = change.__name__
    return changed


@_lines
def line_lost(lines, number, rng):
    del lines[number]


@_lines
def line_twice(lines, number, rng):
    lines.insert(number, lines[number])


@_lines
def lines_swapped(lines, number, rng):
    lines[number], lines[-1 - number] = lines[-1 - number], lines[number]


def cut(path, other, rng):
    os.truncate(path, rng.integers(path.stat().st_size))


def bytes_lost(path, other, rng):
    content = path.read_bytes()
    start = rng.integers(len(content))
    path.write_bytes(content[:start] + content[start + rng.integers(1, 100) :])


def bytes_more(path, other, rng):
    content = path.read_bytes()
    start = rng.integers(len(content) + 1)
    path.write_bytes(content[:start] + rng.bytes(rng.integers(1, 100)) + content[start:])


def blank(path, other, rng):
    content = path.read_bytes()
    start = rng.integers(len(content))
    length = min(int(rng.integers(1, 513)), len(content) - start)  # a sector that was never written
    path.write_bytes(content[:start] + bytes(length) + content[start + length :])


def of_another_run(path, other, rng):
    shutil.copyfile(other, path)


def junk(path, other, rng):
    path.write_bytes(rng.bytes(rng.integers(1, 5000)))


def _holding(name, content):
    def changed(path, other, rng):
        path.write_bytes(content)

    changed.__name__ = name
    return changed


def lost(path, other, rng):
    path.unlink()


def directory(path, other, rng):
    path.unlink()
    path.mkdir()


def pipe(path, other, rng):
    path.unlink()
    os.mkfifo(path)


def link(path, other, rng):
    moved = path.parent.parent / "moved"
    path.rename(moved)
    path.symlink_to(moved)


def device(path, other, rng):
    path.unlink()
    path.symlink_to("/dev/zero")


def huge(path, other, rng):
    os.truncate(path, 2**30)


CHANGES = [
    bit, digit, line_lost, line_twice, lines_swapped, cut, bytes_lost, bytes_more, blank,
    of_another_run, junk, lost, directory, pipe, link, device, huge,
    _holding("empty", b""),
    _holding("not_utf8", b"\xff\xfe"),
    _holding("deep", b"[" * 100_000),
    _holding("deep_and_closed", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    _holding("long_integer", b'{"pool": ' + b"1" * 5_000 + b"}"),
    _holding("nothing_known", b"{}"),
    _holding("no_object", b"[1]"),
]  # fmt: skip
"""Every kind of change."""

RANDOM = CHANGES[:9]
"""Those that differ each time."""


# Results folders, and what is shown of them.


def finished(root):
    """Write finished runs with a memory, and sessions."""
    for one in SPECS.values():
        store_run(root, one, start=0.1, kept=AGENT)
    store_run(root, UNHARMED, start=0.3, kept=AGENT[::-1])
    for jobs in (1, 2, 3):
        with recorded_session(Store(root), [UNHARMED], jobs=jobs, backend="loky"):
            pass


def half(root):
    """Write two runs that were stopped after some cycles."""
    for name, one in HALF.items():
        folder = store_run(root, one, finished=False, rows=_rows(one, name)[:BEGUN])
        folder.checkpoint(_state(one, name))
        folder.append(_rows(one, name)[BEGUN])  # a row that no checkpoint has seen


def _rows(one, name):
    start = 0.2 if name == "one" else 0.4
    return [row(one.task, cycle, start + cycle / 7) for cycle in range(one.task.fixed_cycles)]


def _state(one, name):
    memories = [{}, {"seen": [name]}, {"weights": np.arange(4.0)}]
    return RunState(BEGUN, charges(one.task, BEGUN), memories)


def shown(root):
    """Return what is shown of each finished run and of the sessions, and what is said of damage."""
    results, store = load(root), Store(root)
    pools = results.tasks.set_index("hash")["pool"]
    found = {}
    for run in results.here[results.here["state"] == "done"].to_dict("records"):
        key = run["key"]
        own = [frame[frame["key"] == key] for frame in (results.curves, results.charges)]
        found[key] = repr(
            [
                {name: value for name, value in run.items() if name != "path"},
                *(frame.to_dict("records") for frame in own),
                store.folder(_Keyed(key)).kept(),
                pools[run["task_hash"]],
                sorted(results.provenance.higher_is_better.items()),
            ]
        )
    found["sessions"] = repr(read_sessions(store))
    return found, results.provenance.problems


@dataclass
class _Keyed:
    key: str


def judge_finished(root, before):
    """Return "same" or "named" after a change to a folder of finished runs.

    Raises:
        AssertionError: something is shown that was not there before, or is lost without a word.
    """
    after, problems = shown(root)
    store = Store(root)
    outcome = "same"
    for key, value in before.items():
        if after.get(key) == value:
            continue
        outcome = "named"
        if key == "sessions" and not os.path.lexists(Store(root).sessions):
            continue  # nothing says that there were any
        assert any(key[:12] in problem for problem in problems), f"nothing is said of {key}"
        if key == "sessions":
            continue
        assert key not in after, f"{key} is shown otherwise"
        broken = store.phase(_Keyed(key))
        assert isinstance(broken, Corrupt), broken
        store.set_aside(broken)
        assert store.phase(_Keyed(key)) == "new"
    if problems:
        outcome = "named"
    assert {*after} <= {*before}
    return outcome


def judge_half(root, name):
    """Return "same" or "named" after a change to a run that was stopped, once it has gone on.

    Raises:
        AssertionError: it ends otherwise than it should.
    """
    store, one = Store(root), HALF[name]
    store.prepare()
    broken = store.phase(one)
    if isinstance(broken, Corrupt):
        store.set_aside(broken)
        assert store.phase(one) == "new"
        return "named"
    folder = store.folder(one)
    folder.create({**one.facts, "metrics": METRICS}, ENVIRONMENT)
    folder.note_pool(200)
    state, rows = folder.resume(), _rows(one, name)
    if state is not None:
        assert repr(state) == repr(_state(one, name))
    for new in rows[state.cycle if state else 0 :]:
        folder.append(new)
    folder.finish(charges(one.task, len(rows)), [])
    assert folder.rows() == rows
    assert store.phase(one) == "done"
    return "same"
