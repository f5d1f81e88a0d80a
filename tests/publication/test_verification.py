"""Published results that were really computed: verified, and drawn again."""

import json
import re
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest

from fal_bench import publish, verify
from fal_bench.errors import FalbenchError, InvalidSpecError, PublicationError
from fal_bench.learning.device import CPU, DeviceError
from fal_bench.learning.numerics import numerics_of
from fal_bench.publication.publishing import checksums
from fal_bench.publication.verification import environment_note
from fal_bench.reporting.export import write_csv
from fal_bench.results.published import results_of
from fal_bench.results.record import FORMAT, PublishedEnvironment, parse_record, read_record
from fal_bench.sweep.environment import environment
from fal_bench.task import Task
from fal_bench.task.suite import load_suite

quietly = partial(verify, progress=False)
OURS = numerics_of(CPU)
NUMERICS = f'"numerics": {OURS}'


@pytest.fixture
def scratch(monkeypatch, tmp_path):
    """The folder of temporary files; it must be empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def edit(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


def in_format_1(folder):
    """Make results what a falbench without charges published."""
    rows = [{**row.model_dump(), "label": row.label} for row in read_record(folder).strategies]
    content = json.loads((folder / "provenance.json").read_text())
    for row in rows:
        del row["trainer_named"]
    del content["files"]["charges.csv"], content["drawn"]
    (folder / "charges.csv").unlink()
    (folder / "provenance.json").write_text(
        json.dumps({**content, "format": 1, "strategies": rows})
    )


def edit_record(folder, **changes):
    content = {**json.loads((folder / "provenance.json").read_text()), **changes}
    (folder / "provenance.json").write_text(parse_record(json.dumps(content)).text)


def falsify(folder, name, change):
    """Change a file, and all that follows from it, as a forger would."""
    (folder / name).write_text(change((folder / name).read_text()))
    again(folder)


def again(folder):
    """Write all files again as falbench does, which is there for forgers, too."""
    results = results_of(read_record(folder), folder)
    write_csv(results.shown_curves(), folder / "curves.csv")
    write_csv(results.shown_charges(), folder / "charges.csv")
    edit_record(folder, files=checksums(folder))
    publish(folder, folder)


def test_a_sample_recomputes_bit_for_bit_in_other_processes(published, scratch):
    result = quietly(published)
    assert result.passed
    assert [file.state for file in result.files] == ["same"] * 4
    assert result.equal
    assert {check.state for check in result.checks} == {"same"}
    assert {(one.run.spec.task.name, one.run.label) for one in result.runs} == {
        (task, label)
        for task in ("digits-iid", "digits-shards")
        for label in ("random", "feal[trainer=evidential]")
    }
    assert {one.state for one in result.runs} == {"same"}
    assert "4 of 8 runs" in result.summary
    assert "bit for bit" in result.summary


def better(text):
    """Raise one accuracy: that of feal on digits-shards with seed 1, in cycle 2."""
    pattern = r"(digits-shards,feal\[trainer=evidential\],1,2,\d+,\d+,)([0-9.]+),"
    changed, count = re.subn(pattern, lambda match: f"{match[1]}0.987,", text)
    assert count == 1
    return changed


def test_a_falsified_accuracy_is_found(published, recomputed):
    falsify(published, "curves.csv", better)
    result = quietly(published, runs=None)
    assert not result.passed
    assert result.files[1].state == "same"
    assert len(result.runs) == 8
    [wrong] = [one for one in result.runs if one.state != "same"]
    assert wrong.run.identity == ("digits-shards", "feal[trainer=evidential]", 1)
    assert wrong.note.startswith("cycle 2: accuracy 0.987 published, 0.")
    assert "1 of 8 recomputed runs" in result.summary


def on_a_z80(folder):
    """Claim that the results were computed on another processor."""
    [environment] = json.loads((folder / "provenance.json").read_text())["environments"]
    environment = {**environment, "facts": {**environment["facts"], "processor": "Z80"}}
    edit_record(folder, environments=[environment])
    again(folder)


def rounded(text):
    """Other last bits in every loss, and one sample of one model judged otherwise."""
    head, *lines = text.splitlines()
    loss, accuracy = map(head.split(",").index, ("loss", "accuracy"))
    rows = [line.split(",") for line in lines]
    for row in rows:
        row[loss] = str(float(row[loss]) + 1e-9)
    [one] = [row for row in rows if row[:4] == ["digits-iid", "random", "0", "2"]]
    one[accuracy] = str(float(one[accuracy]) + 1 / 360)
    return "\n".join([head, *map(",".join, rows), ""])


def test_another_processor_may_round_otherwise(published, recomputed):
    falsify(published, "curves.csv", rounded)
    assert {one.state for one in quietly(published, runs=None).runs} == {"differs"}
    on_a_z80(published)
    result = quietly(published, runs=None)
    assert {one.state for one in result.runs} == {"close"}
    assert (result.passed, result.equal) == (True, False)
    assert result.caution.startswith("NOT EQUAL: 8 of 8 runs")
    assert "8 of 8 runs" in result.summary
    assert "bit for bit" not in result.summary
    notes = {one.run.identity: one.note for one in result.runs}
    assert notes["digits-iid", "random", 0].startswith("0.0028 apart in accuracy ")
    bits = quietly(published, runs=None, tolerance=0.0)
    assert {one.state for one in bits.runs} == {"differs"}
    within = quietly(published, runs=None, tolerance=0.01)
    assert {one.state for one in within.runs} == {"close"}
    assert not within.equal


def test_another_processor_is_no_excuse(published, recomputed):
    falsify(published, "curves.csv", better)
    on_a_z80(published)
    result = quietly(published, runs=None)
    assert not result.passed
    [wrong] = [one for one in result.runs if one.state == "differs"]
    assert re.match(r"accuracy is \+0.\d+ apart over the curve, allowed 0.05", wrong.note)
    assert {one.state for one in result.runs if one is not wrong} == {"same"}


def recharged(text, row):
    """Change what random bought with seed 0 on digits-iid in cycle 2."""
    run = "digits-iid,random,0"
    assert f"{run},pool,2,12" in text
    return text.replace(f"{run},pool,2,12", f"{run}{row}")


def test_charges_for_another_purpose_are_found(published, recomputed):
    falsify(published, "charges.csv", partial(recharged, row=",reward,2,12"))
    result = quietly(published, runs=None)
    assert result.consistent
    [wrong] = [one for one in result.runs if one.state != "same"]
    assert wrong.run.identity == ("digits-iid", "random", 0)
    assert wrong.note.startswith("cycle 2: 0 labels ")
    assert "pool published, 12 " in wrong.note


def test_results_of_a_falbench_without_charges_can_be_verified(published, recomputed, falbench):
    in_format_1(published)
    result = quietly(published, runs=1)
    assert (result.passed, result.equal) == (True, False)
    names = ["leaderboard.csv", "curves.csv", "leaderboard.html"]
    assert [file.name for file in result.files] == names
    code, _, err = falbench("report", str(published))
    assert code == 0
    assert "format 1" in err


def test_changed_files_are_named_and_nothing_is_computed(published, scratch, monkeypatch):
    monkeypatch.setattr("fal_bench.publication.verification.run_missing", None)
    edit(published, "curves.csv", "random", "rondam")
    (published / "leaderboard.html").unlink()
    result = quietly(published)
    assert not result.passed
    assert [file.state for file in result.files] == ["same", "changed", "same", "missing"]
    assert result.runs == ()
    assert re.search(r"curves\.csv .*changed, .*html .*missing", result.summary)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (NUMERICS, '"numerics": 3', f"numerics version 3, and it computes version {OURS}"),
        (
            '"fingerprint": "version 1"',
            '"fingerprint": "version 7"',
            r"The strategy '\w+' is not the one that was published \(version 7 there, version 1 h",
        ),
        (
            '"trainer_fingerprint": "version',
            '"trainer_fingerprint": "source ab',
            "The trainer '.*' is not the one that was published",
        ),
        ('"leaderboard.csv":', '"other.csv":', "must hold the SHA-256 of leaderboard.csv"),
    ],
)  # fmt: skip
def test_another_version_is_one_sentence(published, scratch, old, new, message):
    edit(published, "provenance.json", old, new)
    # A page drawn by another falbench is not compared: its cards speak of installed versions.
    edit_record(published, drawn="0" * 16)
    with pytest.raises(FalbenchError, match=message) as error:
        quietly(published)
    assert "\n" not in str(error.value)


def test_an_older_numerics_version_is_checked_and_drawn_but_not_computed(
    published, scratch, monkeypatch, tmp_path
):
    def otherwise(name):
        suite = load_suite(name)
        tasks = [task.model_copy(update={"rounds": task.rounds + 1}) for task in suite.tasks]
        return replace(suite, tasks=tuple(tasks))

    monkeypatch.setattr("fal_bench.publication.names.load_suite", otherwise)
    assert not quietly(published).consistent
    edit(published, "provenance.json", NUMERICS, '"numerics": 3')
    edit_record(published)
    seen = []
    with pytest.raises(PublicationError, match="cannot be computed again"):
        quietly(published, announce=seen.append)
    states = {check.name: check.state for check in seen[-1].checks}
    assert states.pop("tasks under the names that ship") == "unchecked"
    assert set(states.values()) == {"same"}
    assert publish(published, tmp_path / "again").numerics == 3


def everywhere(folder, pairs):
    """Replace text in all files, as if it had been so from the beginning."""
    for name in ("provenance.json", "curves.csv", "charges.csv"):
        text = (folder / name).read_text()
        for old, new in pairs.items():
            text = text.replace(old, new)
        (folder / name).write_text(text)
    edit_record(folder)
    again(folder)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({"feal": "fool"}, "strategy 'fool' .* not installed here"),
        ({"evidential": "evil"}, "trainer 'evil' .* not installed here"),
        (
            {
                '"strategy": "random"': '"strategy": "random[k=1]"',
                ",random,": ",random[k=1],",
                "-s random": "-s 'random[k=1]'",
            },
            "has no parameter 'k'",
        ),
        ({"precision": "revision"}, "metric 'revision' .* not installed here"),
    ],
)  # fmt: skip
def test_what_this_installation_lacks_is_one_sentence(published, scratch, pairs, message):
    everywhere(published, pairs)
    with pytest.raises(FalbenchError, match=message) as error:
        quietly(published)
    assert "\n" not in str(error.value)


def test_an_unknown_device_is_one_sentence(published, scratch):
    edit(published, "provenance.json", '"device": "cpu",\n  "seeds"', '"device": "tpu",\n  "seeds"')
    everywhere(published, {"smoke -s": "smoke --device tpu -s"})
    with pytest.raises(FalbenchError, match="device 'tpu'"):
        quietly(published)


def test_a_data_set_that_is_not_installed_is_one_sentence(published, scratch):
    content = json.loads((published / "provenance.json").read_text())
    task = content["tasks"][0]
    task["name"], task["canonical"]["dataset"] = "mine", "mars"
    before, task["hash"] = task["hash"], Task.model_validate(task["canonical"]).hash
    edit_record(published, tasks=content["tasks"])
    everywhere(published, {before: task["hash"], "digits-iid": "mine", "smoke": "own"})
    with pytest.raises(PublicationError, match=r"'mars' .*not installed"):
        quietly(published)


def test_a_device_that_is_not_there_is_one_sentence(published, monkeypatch):
    def refuse(choice):
        raise DeviceError("use --device cpu")

    monkeypatch.setattr("fal_bench.publication.verification.resolve_device", refuse)
    with pytest.raises(PublicationError, match="'cpu'"):
        quietly(published)


PLUGIN = """
import numpy as np
from fal_bench import Strategy
class First(Strategy):
    name = "first"
    def select(self, client, budget):
        return np.arange(len(client.unlabelled))[:budget]
"""


def test_a_plugin_is_needed_and_must_be_the_published_one(tmp_path, suite, scratch):
    from fal_bench import compare

    plugin, to = tmp_path / "first.py", tmp_path / "published"
    plugin.write_text(PLUGIN)
    compare("first", suite=suite, plugins=[plugin], out=tmp_path / "results",
            backend="sequential", progress=False)  # fmt: skip
    publish(tmp_path / "results", to, suite=suite)
    with pytest.raises(PublicationError, match=r"'first' .*--plugin"):
        quietly(to)
    assert quietly(to, plugins=[plugin], runs=1).passed
    plugin.write_text(PLUGIN.replace("[:budget]", "[-budget:]"))
    with pytest.raises(PublicationError, match="not the one"):
        quietly(to, plugins=[plugin])
    plugin.write_text("def oops(:")
    with pytest.raises(FalbenchError, match="SyntaxError"):
        quietly(to, plugins=[plugin])


def test_a_run_that_fails_here_is_no_match(published, scratch, monkeypatch):
    from fal_bench.sweep.supervisor import Supervisor

    def fail_all(supervisor, specs):
        for one in specs:
            supervisor.store.folder(one).fail("no memory")

    monkeypatch.setattr(Supervisor, "run", fail_all)
    result = quietly(published, runs=1)
    assert not result.passed
    assert [(one.state, one.note) for one in result.runs] == [("failed", "no memory")]


def test_the_environment_is_named_where_it_differs(smoke):
    record = read_record(smoke)
    assert environment_note(record) == ""
    here = {**environment(), "device": "cpu"}

    def note(*environments):
        published = tuple(
            PublishedEnvironment(runs=runs, facts={**here, **facts}) for runs, facts in environments
        )
        return environment_note(record.model_copy(update={"environments": published}))

    assert note((8, {})) == ""
    assert note((6, {}), (2, {"torch": "1.0"})).startswith("2 of 8 runs ")
    found = note((6, {"torch": "1.0", "processor": "Z80"}), (2, {"torch": "1.0"}))
    assert f"(torch 1.0 there, {here['torch']} here)" in found
    # What was not recorded then cannot be said to differ.
    bare = PublishedEnvironment(runs=8, facts={"torch": here["torch"]})
    assert environment_note(record.model_copy(update={"environments": (bare,)})) == ""


# Drawn again.

DRAWN = ["leaderboard.csv", "leaderboard.html"]
KEPT = ["curves.csv", "charges.csv"]


def contents(folder, names):
    return [(folder / name).read_bytes() for name in names]


def test_the_files_are_those_that_the_runs_give(smoke, published, tmp_path):
    edit_record(published, falbench="0.0.1")
    record = publish(published, tmp_path / "again")
    assert contents(tmp_path / "again", DRAWN + KEPT) == contents(smoke, DRAWN + KEPT)
    assert record == read_record(tmp_path / "again")
    was = read_record(smoke)
    assert record.falbench == was.falbench != "0.0.1"
    assert record.model_copy(update={"published": was.published}) == was
    assert verify(tmp_path / "again", runs=1, progress=False).passed


def test_another_question_is_answered_as_from_the_runs(smoke, published, tmp_path):
    question = {
        "target_acc": "0.5,auto",
        "accounting": "paper",
        "baseline": "feal[trainer=evidential]",
    }
    publish(smoke.parent / "results", tmp_path / "runs", **question)
    record = publish(published, published, **question)
    names = DRAWN + KEPT
    assert contents(published, names) == contents(tmp_path / "runs", names)
    assert record.command == read_record(tmp_path / "runs").command
    assert (record.targets, record.accounting) == ((0.5, "auto"), "paper")


@pytest.mark.parametrize("name", DRAWN + KEPT)
def test_changed_files_are_not_drawn(published, tmp_path, name):
    with (published / name).open("a") as file:
        file.write("\n")
    with pytest.raises(FalbenchError, match=rf"{name} in .*restore it"):
        publish(published, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_charges_of_strategies_that_only_buy_follow_from_the_curves(smoke, published, tmp_path):
    in_format_1(published)
    record = publish(published, tmp_path / "again")
    assert record.format == FORMAT
    assert contents(tmp_path / "again", DRAWN + KEPT) == contents(smoke, DRAWN + KEPT)


def test_results_without_charges_that_read_more_are_not_drawn(published, tmp_path):
    hungry = pd.read_csv(published / "curves.csv", dtype=str)
    hungry.loc[5, ["labels_strict", "labels_strict_by_client"]] = ["75", "24 24 27"]
    write_csv(hungry, published / "curves.csv")
    edit_record(published, files=checksums(published))
    in_format_1(published)
    with pytest.raises(FalbenchError, match=r"without charges\.csv"):
        publish(published, tmp_path / "again")


def test_the_command_draws_published_results_again(published, tmp_path, falbench):
    page = (published / "leaderboard.html").read_bytes()
    code, out, _ = falbench("publish", published, "--to", published, "--accounting", "paper")
    assert code == 0
    assert "this falbench draws" in out
    assert (published / "leaderboard.html").read_bytes() != page
    assert json.loads((published / "provenance.json").read_text())["accounting"] == "paper"
    code, _, err = falbench("publish", published, "--to", tmp_path / "part", "--seeds", "1")
    assert code == 2
    assert "leave --seeds out" in err


def test_unknown_baselines_are_refused(published, tmp_path):
    with pytest.raises(InvalidSpecError, match="'logo'"):
        publish(published, tmp_path / "again", baseline="logo")


def test_the_charges_are_whole(smoke):
    curves, charges = (pd.read_csv(smoke / name) for name in KEPT)
    assert len(charges.groupby(["task", "strategy", "seed"])) == 8
    assert set(charges.purpose) == {"initial", "pool"}
    last = curves.groupby(["task", "strategy", "seed"]).labels_strict.max()
    assert (charges.groupby(["task", "strategy", "seed"]).labels.sum() == last).all()
