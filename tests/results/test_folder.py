"""What a results folder keeps: runs, and sessions."""

import json
from dataclasses import replace

import pytest

from fal_bench.api import compare
from fal_bench.errors import StoreError
from fal_bench.federation.journal import Row
from fal_bench.federation.state import RunState
from fal_bench.inputs.selector import Selector
from fal_bench.results.folder import CorruptRunError
from fal_bench.results.sessions import read_sessions, recorded_session
from fal_bench.results.store import SCHEMA, SESSIONS, Corrupt, Store
from fal_bench.sweep.plan import Plan
from fal_bench.sweep.spec import RunSpec, plan_runs
from fal_bench.task import Task

SPEC = RunSpec(Task(name="t"), Selector("random"), "version 1", 0)
METRICS = {"accuracy": 0.1, "precision": 0.2, "loss": 1 / 3}
ROW = Row(0, 10, 10, 5, 6, 0.25, 1e-9, "5 5", "5 5", METRICS)


def state(cycle):
    return RunState(cycle, [(0, 1, "initial", 0)], [0, 0], [{}, {}, {"a": [1]}])


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "results")
    store.prepare()
    return store


@pytest.fixture
def folder(store):
    folder = store.folder(SPEC)
    folder.create(SPEC.facts, {"python": "3"})
    folder.note_pool(100)
    assert folder.resume() is None
    return folder


def rows(count):
    return [
        replace(ROW, cycle=cycle, metrics={**METRICS, "accuracy": cycle / 7})
        for cycle in range(count)
    ]


def test_the_key_is_the_identity_and_nothing_else():
    assert replace(SPEC, task=Task(name="renamed")).key == SPEC.key
    others = [
        replace(SPEC, task=Task(clients=2)),
        replace(SPEC, strategy=Selector("random", {"a": 1})),
        replace(SPEC, fingerprint="version 2"),
        replace(SPEC, seed=1),
        replace(SPEC, device="cuda"),
    ]
    assert len({spec.key for spec in [SPEC, *others]}) == 6


def test_parameters_at_their_default_are_the_same_run():
    from fal_bench.plugins.registry import Registry

    runs = plan_runs(
        [Task()],
        [
            Selector.parse("logo"),
            Selector.parse("logo[n_init=1]"),
            Selector.parse("logo[n_init=2]"),
        ],
        [0],
        Registry.discover(),
    )
    assert [run.label for run in runs] == ["logo", "logo[n_init=2]"]


def test_a_life_from_new_to_done(store, folder):
    assert store.phase(replace(SPEC, seed=9)) == "new"
    assert store.phase(SPEC) == "partial"
    for row in rows(3):
        folder.append(row)
    folder.checkpoint(state(3))
    assert folder.rows() == rows(3)
    folder.finish(state(3).charges, [])
    assert store.phase(SPEC) == "done"
    assert folder.rows() == rows(3)
    names = sorted(path.name for path in folder.path.iterdir())
    assert names == ["curve.csv", "ledger.csv", "run.json", "status.json"]
    assert (folder.path / "ledger.csv").read_text() == (
        "client,sample,purpose,cycle\n0,1,initial,0\n"
    )
    assert folder.pool() == 100


def test_resuming_cuts_the_curve_back_to_the_checkpoint(folder):
    for row in rows(2):
        folder.append(row)
    folder.checkpoint(state(2))
    folder.append(rows(3)[2])
    with (folder.path / "curve.csv").open("a") as file:
        file.write("3,40,4")  # killed in the middle of a line
    assert folder.rows() == rows(3)
    assert folder.resume() == state(2)
    assert folder.rows() == rows(2)


def test_without_a_checkpoint_the_curve_starts_over(folder):
    folder.append(ROW)
    assert folder.resume() is None
    assert folder.rows() == []


def test_a_failure_keeps_its_reason(store, folder):
    folder.fail("it broke", "Traceback ...")
    assert store.phase(SPEC) == "failed"
    assert folder.status()["reason"] == "it broke"
    folder.reopen()
    assert store.phase(SPEC) == "partial"


def broken_status(folder):
    (folder.path / "status.json").write_text('{"phase": "do')


def broken_description(folder):
    run = json.loads((folder.path / "run.json").read_text())
    run["description"]["seed"] = 5
    (folder.path / "run.json").write_text(json.dumps(run))


def edited_curve(folder):
    text = (folder.path / "curve.csv").read_text()
    (folder.path / "curve.csv").write_text(text.replace("0.2", "0.9"))


def edited_ledger(folder):
    with (folder.path / "ledger.csv").open("a") as file:
        file.write("1,2,3\n")


def lost_ledger(folder):
    (folder.path / "ledger.csv").unlink()


def lost_curve(folder):
    (folder.path / "curve.csv").unlink()


def lost_description(folder):
    (folder.path / "run.json").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        broken_status,
        broken_description,
        edited_curve,
        lost_curve,
        edited_ledger,
        lost_ledger,
        lost_description,
    ],
)
def test_damage_to_a_finished_run_is_seen_and_set_aside(store, folder, damage):
    folder.append(ROW)
    folder.finish([], [])
    damage(folder)
    corrupt = store.phase(SPEC)
    assert isinstance(corrupt, Corrupt)
    moved = store.set_aside(corrupt)
    assert moved.exists()
    assert not folder.path.exists()
    assert store.phase(SPEC) == "new"


def damaged_checkpoint(folder):
    (folder.path / "checkpoint.npz").write_bytes(b"PK nonsense")


def damaged_row(folder):
    (folder.path / "curve.csv").write_text("cycle,labels\n0,x\n")


@pytest.mark.parametrize("damage", [damaged_checkpoint, damaged_row, lost_curve])
def test_damage_to_a_half_finished_run_is_seen_on_resuming(folder, damage):
    folder.append(ROW)
    folder.checkpoint(state(1))
    damage(folder)
    with pytest.raises(CorruptRunError):
        folder.resume()


def test_two_runs_set_aside_do_not_collide(store, folder):
    for _ in range(2):
        folder.create(SPEC.facts, {})
        store.set_aside(Corrupt(folder.path, "x"))
    assert len(list((store.root / "set-aside").iterdir())) == 2


def test_a_newer_results_folder_is_refused(store):
    (store.root / "store.json").write_text(json.dumps({"schema": SCHEMA + 1}))
    with pytest.raises(StoreError, match="newer falbench"):
        Store(store.root)
    (store.root / "store.json").write_text("{}")
    with pytest.raises(StoreError, match="Cannot read"):
        Store(store.root)


def test_a_file_is_no_results_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        Store(tmp_path / "file")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Cannot write"):
        Store(tmp_path / "file" / "results").prepare()


def test_two_runs_in_one_folder_are_kept_apart(store):
    with (
        store.lock(),
        pytest.raises(StoreError, match="Another falbench"),
        store.lock(),
    ):
        pass
    with store.lock():
        pass  # free again


# Sessions.


def computed(out, seeds):
    compare("random", task="digits-iid", seeds=seeds, out=out, backend="sequential", progress=False)


def test_each_session_that_computes_adds_a_line(tmp_path):
    assert read_sessions(Store(tmp_path)) == []
    computed(tmp_path, seeds=1)
    computed(tmp_path, seeds=1)
    computed(tmp_path, seeds=3)
    sessions = read_sessions(Store(tmp_path))
    assert [session.finished for session in sessions] == [1, 2]
    assert all(session.seconds > 0 and session.backend == "sequential" for session in sessions)
    assert sessions[0].started <= sessions[1].started


def test_an_interrupted_session_is_recorded(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    runs = Plan.make("random", task="digits-iid", seeds=1).runs
    with (
        pytest.raises(KeyboardInterrupt),
        recorded_session(store, runs, jobs=2, backend="processes"),
    ):
        raise KeyboardInterrupt
    (session,) = read_sessions(Store(tmp_path))
    assert (session.finished, session.jobs) == (0, 2)


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / SESSIONS).write_text('{"started": "2026-01-01"}\n')
    with pytest.raises(StoreError, match=SESSIONS):
        read_sessions(Store(tmp_path))


def test_a_line_that_was_cut_off_costs_no_other(tmp_path):
    computed(tmp_path, seeds=1)
    with (tmp_path / SESSIONS).open("a") as lines:
        lines.write('{"started": "2026')
    computed(tmp_path, seeds=2)
    assert [session.finished for session in read_sessions(Store(tmp_path))] == [1, 1]
