"""A campaign of damage: thousands of single random changes, of which none may show a false number.

    python -m pytest -s tests/campaign/mutations.py

Changes one file at a time of finished runs, of runs that were stopped, of the results folder
itself, and of published results. ``FALBENCH_MUTATIONS`` says how many changes (2,000), and
``FALBENCH_MUTATIONS_SEED`` which ones.
"""

import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mutated import (
    CHANGES,
    FILES,
    HALF,
    RANDOM,
    SPECS,
    UNHARMED,
    finished,
    half,
    judge_finished,
    judge_half,
    shown,
)

from fal_bench import load, verify
from fal_bench.errors import FalbenchError

COUNT = int(os.environ.get("FALBENCH_MUTATIONS", "2000"))
SEED = int(os.environ.get("FALBENCH_MUTATIONS_SEED", "0"))
PUBLISHED = Path(__file__).parents[2] / "results" / "published"
SECONDS = 60
"""After which one look at a damaged folder hangs."""


class LookedAtError(Exception):
    """All that can be said without computing runs is said."""


def changes(share, seed):
    """Yield changes with their streams: those that differ each time, and all kinds in turn."""
    for number, stream in enumerate(np.random.SeedSequence([SEED, seed]).spawn(int(COUNT * share))):
        rng = np.random.default_rng(stream)
        yield CHANGES[number // 2 % len(CHANGES)] if number % 2 else rng.choice(RANDOM), rng


@pytest.fixture(autouse=True)
def alarm():
    """Nothing may hang."""

    def ring(*_):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def count(share, seed, source, files, judge, capsys, tmp_path):
    """Change a copy of a folder again and again, and print what became of it."""
    counts = Counter()
    for number, (change, rng) in enumerate(changes(share, seed)):
        path, other = files[rng.integers(len(files))]
        copy = tmp_path / "copy"
        shutil.copytree(source, copy)
        changed = f"{change.__name__} of {path.name}, number {number} of seed {SEED}"
        try:
            change(copy / path, other, rng)
            signal.alarm(SECONDS)
            outcome = judge(copy)
        except Exception as error:
            raise AssertionError(f"{changed}: {type(error).__name__}: {error}") from error
        finally:
            signal.alarm(0)
            shutil.rmtree(copy)
            shutil.rmtree(tmp_path / "moved", ignore_errors=True)
        counts[path.name, outcome] += 1
    with capsys.disabled():
        print(f"\n{sum(counts.values())} changes of {source.name}, none of which went unseen:")
        for (name, outcome), number in sorted(counts.items()):
            print(f"{number:6} {name:16} {outcome}")


def test_finished_runs_and_their_folder(tmp_path, capsys):
    root = tmp_path / "finished"
    finished(root)
    before, _ = shown(root)
    one = SPECS[FILES[0]].key
    runs = root / "runs"
    files = [(Path("runs", one, name), runs / UNHARMED.key / name) for name in FILES]
    files += [(Path("store.json"), root / "sessions.jsonl")]
    files += [(Path("sessions.jsonl"), root / "store.json")]
    count(0.4, 1, root, files, lambda copy: judge_finished(copy, before), capsys, tmp_path)


def test_runs_that_were_stopped(tmp_path, capsys):
    root = tmp_path / "stopped"
    half(root)
    one, two = (root / "runs" / spec.key for spec in HALF.values())
    files = [(path.relative_to(root), two / path.name) for path in sorted(one.iterdir())]
    count(0.35, 2, root, files, lambda copy: judge_half(copy, "one"), capsys, tmp_path)


def test_published_results(tmp_path, capsys):
    quick = PUBLISHED / "quick"
    others = PUBLISHED / "standard"
    files = [(path.relative_to(quick), others / path.name) for path in sorted(quick.iterdir())]
    before = frames(quick)
    count(0.25, 3, quick, files, lambda copy: judge_published(copy, before), capsys, tmp_path)


def frames(folder):
    """Return all that published results show, and how long their computing took."""
    results = load(folder)
    parts = (results.here, results.curves, results.charges, results.tasks)
    return repr([part.to_dict("records") for part in parts])


def judge_published(folder, before):
    """Return "refused" if ``verify`` finds a change, and "same" if nothing is shown otherwise."""

    def announce(state):
        if state.sample is not None:
            raise LookedAtError

    try:
        assert not verify(folder, runs=1, progress=False, announce=announce).passed
    except FalbenchError:
        return "refused"
    except LookedAtError:
        assert frames(folder) == before
        return "same"
    return "refused"
