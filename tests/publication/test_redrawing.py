"""Drawing published results anew."""

import json

import pandas as pd
import pytest
from test_verification import edit_record, in_format_1

from fal_bench import publish, verify
from fal_bench.errors import FalbenchError, InvalidSpecError
from fal_bench.publication.publishing import checksums
from fal_bench.report.export import write_csv
from fal_bench.results.published import FORMAT, read_record

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
    hungry.loc[3, "labels_strict"] = "100"
    write_csv(hungry, published / "curves.csv")
    edit_record(published, files=checksums(published))
    in_format_1(published)
    with pytest.raises(FalbenchError, match=r"without charges\.csv"):
        publish(published, tmp_path / "again")


def test_the_command_draws_published_results_anew(published, tmp_path, falbench):
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
