"""What a results folder keeps: runs and sessions."""

import json
from dataclasses import replace

import pytest

from fal_bench.api import compare
from fal_bench.errors import StoreError
from fal_bench.federation.journal import Row
from fal_bench.federation.state import RunState
from fal_bench.inputs.selector import Selector
from fal_bench.results.folder import CorruptRunError
from fal_bench.results.sessions import read_sessions, recorded_session, sessions_problem
from fal_bench.results.store import SCHEMA, SESSIONS, Corrupt, Store
from fal_bench.sweep.plan import Plan
from fal_bench.sweep.spec import RunSpec, plan_runs
from fal_bench.task import Task

SPEC = RunSpec(Task(name="t"), Selector("random"), "version 1", 0)
METRICS = {"accuracy": 0.1, "precision": 0.2, "loss": 1 / 3}
ROW = Row(0, 10, 10, 5, 6, 0.25, 1e-9, "5 5", "5 5", METRICS)


def state(cycle):
    return RunState(cycle, [(0, 1, "initial", 0)], [{}, {}, {"a": [1]}])


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
    assert folder.facts().pool == 100


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


def test_facts_that_are_lost_while_a_run_is_at_work_are_written_again(store, folder):
    folder.append(ROW)
    (folder.path / "run.json").unlink()
    folder.finish([], [])
    assert store.phase(SPEC) == "done"
    assert folder.facts().pool == 100


def test_what_could_not_be_read_again_is_not_written(store):
    folder = store.folder(SPEC)
    with pytest.raises(StoreError, match=r"run\.json"):
        folder.create({**SPEC.facts, "metrics": {"a": float("nan")}}, {})
    folder.fail("name \udcff", "x" * 10**6)
    assert store.phase(SPEC) == "failed"
    assert "name" in folder.status()["reason"]


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


def test_a_damaged_checkpoint_is_seen_before_and_on_resuming(store, folder):
    folder.append(ROW)
    folder.checkpoint(state(1))
    (folder.path / "checkpoint.npz").write_bytes(b"PK nonsense")
    assert isinstance(store.phase(SPEC), Corrupt)
    with pytest.raises(CorruptRunError, match=r"checkpoint\.npz"):
        folder.resume()


def a_better_curve(folder):
    path = folder.path / "curve.csv"
    path.write_text(path.read_text().replace("0.1", "0.9"))


@pytest.mark.parametrize("change", [a_better_curve, lost_curve])
def test_nothing_rests_on_the_curve_of_a_run_that_is_not_finished(store, folder, change):
    first, second = rows(2)
    folder.append(first)
    folder.checkpoint(state(1))
    change(folder)
    resumed = store.folder(SPEC)
    resumed.resume()
    assert resumed.rows() == [first]
    resumed.append(second)
    change(folder)  # and while it is at work
    resumed.finish(state(1).charges, [])
    assert store.phase(SPEC) == "done"
    assert resumed.rows() == [first, second]


def test_two_runs_set_aside_do_not_collide(store, folder):
    for _ in range(2):
        folder.create(SPEC.facts, {})
        store.set_aside(Corrupt(folder.path, "x"))
    assert len(list((store.root / "set-aside").iterdir())) == 2


def test_a_newer_results_folder_is_refused(store):
    (store.root / "store.json").write_text(json.dumps({"schema": SCHEMA + 1}))
    with pytest.raises(StoreError, match="newer falbench"):
        Store(store.root)


@pytest.mark.parametrize(
    "content",
    [b"", b'{"schema": 99, "seal": "0"}', b"{}", b"\xff", b'{"schema": "1"}', b"[" * 100_000],
)
def test_a_damaged_description_of_the_folder_is_named_and_written_again(store, content):
    (store.root / "store.json").write_bytes(content)
    damaged = Store(store.root)
    assert "store.json" in damaged.problems[0]
    damaged.prepare()
    assert Store(store.root).problems == ()
    assert (store.root / "set-aside" / "store.json-1").read_bytes() == content


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
    """Return what is said while runs are computed."""
    said = []
    compare(
        "random", task="digits-iid", seeds=seeds, out=out, backend="sequential", progress=False,
        notify=lambda _, text: said.append(text),
    )  # fmt: skip
    return said


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


def test_a_damaged_line_costs_its_own_session_and_is_named_once(tmp_path):
    computed(tmp_path, seeds=1)
    with (tmp_path / SESSIONS).open("a") as lines:
        lines.write('{"started": "2026')
    assert any(SESSIONS in text for text in computed(tmp_path, seeds=2))
    assert [session.finished for session in read_sessions(Store(tmp_path))] == [1, 1]
    assert computed(tmp_path, seeds=2) == []
    assert (tmp_path / "set-aside" / f"{SESSIONS}-1").exists()


SESSION = (
    '{"started": "2026-01-31", "seconds": 1.5, "finished": 3, "jobs": 2, "backend": "processes"}\n'
)


def test_sessions_of_earlier_versions_are_read_and_kept(store):
    (store.root / SESSIONS).write_text(f"\n{SESSION}\n{SESSION}")
    assert sessions_problem(store) == ""
    with recorded_session(store, [SPEC], jobs=1, backend="processes"):
        pass
    assert [one.finished for one in read_sessions(store)] == [3, 3, 0]
    assert sessions_problem(store) == ""


def edited(lines):
    return [lines[0], lines[1].replace('"finished": 3', '"finished": 9'), lines[2]]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (edited, 2),
        (lambda lines: lines[:2], 2),
        (lambda lines: lines[1:], 2),
        (lambda lines: [*lines, lines[2]], 4),
        (lambda lines: [lines[0], SESSION, lines[2]], 3),
        (lambda lines: [], 0),
    ],
    ids=["edited", "last lost", "first lost", "one twice", "one from before", "all lost"],
)
def test_no_change_of_a_session_goes_unseen(store, change, left):
    path = store.root / SESSIONS
    path.write_text(SESSION * 2)
    with recorded_session(store, [SPEC], jobs=1, backend="processes"):
        pass
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))
    assert SESSIONS in sessions_problem(store)
    assert len(read_sessions(store)) == left
