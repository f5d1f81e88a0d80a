"""Publishing from runs written by hand."""

import hashlib
import json
from datetime import UTC, datetime

import pandas as pd
import pytest
from stored import TINY, spec, store_run

from fal_bench import publish, report
from fal_bench.errors import FalbenchError, InvalidSpecError, PublicationError, UnknownNameError
from fal_bench.learning.device import CPU
from fal_bench.learning.numerics import numerics_of
from fal_bench.publication.consistency import Published, contradictions
from fal_bench.results.published import results_of
from fal_bench.results.record import read_record
from fal_bench.task.suite import load_suite

QUICK = load_suite("quick")
FILES = ["charges.csv", "curves.csv", "leaderboard.csv", "leaderboard.html", "provenance.json"]


@pytest.fixture
def root(tmp_path):
    """Two strategies on the two tasks of a suite, with two seeds."""
    root = tmp_path / "results"
    for number, task in enumerate(QUICK.tasks):
        for seed in (0, 1):
            for name in ("random", "logo[n_init=4]"):
                ended = datetime.fromtimestamp(1_700_000_000 + 1000 * number + seed, UTC)
                store_run(root, spec(name, seed, task=task), ended=ended)
    return root


@pytest.fixture
def to(tmp_path):
    return tmp_path / "published" / "quick"


def test_the_folder_holds_what_report_writes_and_where_it_comes_from(root, to):
    notes = []
    question = {"target_acc": "0.3,auto", "baseline": "logo[n_init=4]"}
    record = publish(root, to, **question, notify=lambda *said: notes.append(said))
    assert notes == []
    assert sorted(path.name for path in to.iterdir()) == FILES
    assert read_record(to) == record
    for name, digest in record.files.items():
        assert hashlib.sha256((to / name).read_bytes()).hexdigest() == digest
    assert sorted([*record.files, "provenance.json"]) == FILES

    result = report(root, suite="quick", **question)
    result.write(str(root))
    for name in ("leaderboard.csv", "curves.csv"):
        assert (to / name).read_bytes() == (root / name).read_bytes()
    pd.testing.assert_frame_equal(pd.read_csv(to / "charges.csv"), result.charges)
    page = (to / "leaderboard.html").read_text()
    assert str(root) not in page
    assert "compare --suite quick" in page


def test_the_record_says_how_the_results_came_about(root, to):
    record = publish(root, to, target_acc=[0.3, "auto"])
    content = json.loads((to / "provenance.json").read_text())
    assert record.command == (
        "falbench compare --suite quick -s 'logo[n_init=4]' -s random --seeds 2 "
        "--target-acc 0.3,auto --accounting strict"
    )
    assert content["targets"] == [0.3, "auto"]
    assert (record.suite, record.seeds, record.device) == ("quick", (0, 1), "cpu")
    assert [task.name for task in record.tasks] == sorted(task.name for task in QUICK.tasks)
    assert {task.pool for task in record.tasks} == {200}
    assert [row.strategy for row in record.strategies] == ["logo[n_init=4]", "random"]
    assert [(one.runs, one.facts["torch"]) for one in record.environments] == [(8, "2.9")]
    assert record.first_finished == "2023-11-14T22:13:20+00:00"
    assert record.last_finished == "2023-11-14T22:30:01+00:00"
    rows = len(pd.read_csv(to / "curves.csv"))
    assert record.compute_seconds == pytest.approx(1.25 * rows)
    assert record.sessions is None


def test_the_runs_are_summed_up_where_they_are_recorded(root, to):
    run = {"started": "2026-01-01T00:00:00+00:00", "backend": "processes"}
    lines = [
        {**run, "seconds": 10.5, "finished": 5, "jobs": 2},
        {**run, "seconds": 4.0, "finished": 3, "jobs": 1},
    ]
    (root / "sessions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    runs = publish(root, to).sessions
    assert (runs.count, runs.runs, runs.wall_seconds, runs.jobs) == (2, 8, 14.5, (1, 2))


def test_published_results_are_replaced_but_nothing_else(root, to):
    publish(root, to)
    first = read_record(to)
    publish(root, to, task=QUICK.tasks[0].name, strategies=["random"], seeds=1)
    second = read_record(to)
    assert (first.n_runs, second.n_runs) == (8, 1)
    assert f"--task {QUICK.tasks[0].name} -s random --seeds 1" in second.command
    (to / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in to.iterdir()}
    with pytest.raises(PublicationError, match=r"\(notes\.txt\)"):
        publish(root, to)
    with pytest.raises(PublicationError, match=r"\(locks and \d more\)"):
        publish(root, root)
    with pytest.raises(PublicationError, match="is a file"):
        publish(root, to / "notes.txt")
    assert {path: path.read_bytes() for path in to.iterdir()} == before


def fails(root, to, message, **options):
    with pytest.raises(FalbenchError, match=message) as error:
        publish(root, to, **options)
    assert "\n" not in str(error.value)
    assert not to.exists()
    return error.value


def test_missing_and_failed_runs_are_refused(root, to):
    store_run(root, spec("feal", 0, task=QUICK.tasks[1]), finished=False).fail("it broke.")
    name = min(task.name for task in QUICK.tasks)
    message = rf"^4 of 12 runs are missing or failed, first {name}, feal, seed 0 \(it broke\); "
    fails(root, to, message)
    assert publish(root, to, strategies=["random", "logo[n_init=4]"]).n_runs == 8


def test_a_suite_of_which_a_task_is_missing_is_refused(tmp_path, to):
    store_run(tmp_path / "results", spec(task=QUICK.tasks[0]))
    fails(tmp_path / "results", to, f"1 of 2 runs is missing .* {QUICK.tasks[1].name}, random")
    assert publish(tmp_path / "results", to, task=QUICK.tasks[0].name).n_runs == 1


def test_gaps_in_the_seeds_are_refused(tmp_path, to):
    for seed in (0, 1, 4):
        for task in QUICK.tasks:
            store_run(tmp_path / "results", spec(seed=seed, task=task))
    fails(tmp_path / "results", to, "stored seeds are 0, 1, 4, .* --seeds 0-4")
    assert publish(tmp_path / "results", to, seeds=2).seeds == (0, 1)


def test_tasks_of_no_suite_need_its_file(tmp_path, to):
    root = tmp_path / "results"
    store_run(root, spec())
    fails(root, to, "not all of one suite; name one with --suite")
    fails(root, to, "is of no suite of the package", task=TINY.name)
    file = tmp_path / "mine.toml"
    file.write_text(
        "[tasks.tiny]\nclients = 2\ninitial_labels = 5\nquery_size = 5\nbudget_cap = 40\n"
    )
    record = publish(root, to, suite=str(file))
    assert (record.suite, [task.name for task in record.tasks]) == ("mine", ["tiny"])
    assert f"--suite {file}" in record.command


def rewritten(monkeypatch, numerics):
    monkeypatch.setattr("fal_bench.sweep.spec.numerics_of", lambda device: numerics)


def test_runs_of_mixed_or_other_numerics_are_refused(root, to, monkeypatch):
    ours = numerics_of(CPU)
    rewritten(monkeypatch, 3)
    for task in QUICK.tasks:
        for seed in (0, 1):
            store_run(root, spec("random", seed, task=task))
    fails(root, to, f"numerics versions 3, {ours}, which do not compare")
    only = root.parent / "only"
    store_run(only, spec(task=QUICK.tasks[0]))
    fails(only, to, f"numerics version 3, and this falbench computes version {ours}",
          task=QUICK.tasks[0].name)  # fmt: skip


def test_the_newest_version_of_a_built_in_strategy_takes_part(root, to):
    for task in QUICK.tasks:
        for seed in (0, 1):
            store_run(root, spec("random", seed, task=task, fingerprint="version 10"), start=0.3)
            store_run(root, spec("random", seed, task=task, fingerprint="version 9"), start=0.3)
    notes = []
    record = publish(root, to, notify=lambda *said: notes.append(said))
    assert [row.label for row in record.strategies] == ["logo[n_init=4]", "random"]
    assert [row.fingerprint for row in record.strategies] == ["version 1", "version 10"]
    assert len(notes) == 1
    assert notes[0][0] == "note"
    assert "'random'" in notes[0][1]
    assert set(pd.read_csv(to / "curves.csv").strategy) == {"logo[n_init=4]", "random"}


def test_other_variants_must_be_chosen(root, to):
    for task in QUICK.tasks:
        for seed in (0, 1):
            store_run(root, spec("random", seed, task=task, fingerprint="source ab"), start=0.3)
    error = fails(root, to, "'random' is stored in 2 variants")
    first = str(error).partition("(")[2].partition(",")[0]
    record = publish(root, to, strategies=[first])
    assert [row.label for row in record.strategies] == ["random"]


def test_several_devices_and_different_data_are_refused(root, to, tmp_path):
    from dataclasses import replace

    for number, task in enumerate(QUICK.tasks):
        store_run(tmp_path / "gpu", spec("random", task=task))
        store_run(tmp_path / "gpu", replace(spec("logo", task=task), device="cuda"))
        store_run(tmp_path / "own", replace(spec("random", task=task), data=f"ab{number}"))
    fails(tmp_path / "gpu", to, r"several devices \(cpu, cuda\)")
    record = publish(tmp_path / "own", to)
    assert sorted(task.data for task in record.tasks) == ["ab0", "ab1"]
    store_run(tmp_path / "own", replace(spec("logo", task=QUICK.tasks[0]), data="cd"))
    with pytest.raises(PublicationError, match="different data"):
        publish(tmp_path / "own", to)


def test_strategies_that_do_not_begin_alike_contradict_each_other(tmp_path, to):
    for name, start in (("random", 0.1), ("logo", 0.2)):
        for task in QUICK.tasks:
            store_run(tmp_path / "own", spec(name, task=task), start=start)
    record = publish(tmp_path / "own", to)
    checks = contradictions(Published(to, record, results_of(record, to)))
    [wrong] = [check.note for check in checks if check.state == "differs"]
    assert "accuracy before any choice" in wrong


def test_wrong_names_and_values_are_refused(root, to):
    assert isinstance(fails(root, to, "Unknown strategy", strategies=["lgo"]), UnknownNameError)
    assert isinstance(fails(root, to, "target_acc", target_acc=50), InvalidSpecError)
    fails(root.parent / "nowhere", to, "There are no runs in")


def test_imported_curves_are_left_out(root, to, falbench):
    (root.parent / "theirs.csv").write_text(
        f"task,strategy,seed,labels,accuracy\n{QUICK.tasks[0].name},theirs,0,100,0.5\n"
    )
    assert falbench("import", "theirs.csv", "--out", root)[0] == 0
    publish(root, to)
    for name in FILES:
        assert "theirs" not in (to / name).read_text(), name


def test_a_name_that_ships_for_something_else_is_refused(root, to, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(
        "[tasks.digit-pairs-iid]\nclients = 2\n"
        "initial_labels = 5\nquery_size = 5\nbudget_cap = 40\n"
    )
    [task] = load_suite(str(file)).tasks
    for name in ("random", "logo"):
        store_run(tmp_path / "own", spec(name, task=task))
    with pytest.raises(PublicationError, match="'digit-pairs-iid' is not the one that ships"):
        publish(tmp_path / "own", to, suite=str(file))
    assert not to.exists()
