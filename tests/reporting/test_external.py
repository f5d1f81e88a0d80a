"""Curves measured elsewhere: which of them rank, what is said of them, and that nothing is lost."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from stored import TINY, spec, store_run

from fal_bench import load, report
from fal_bench.reporting.budgets import budgets_at, read_runs
from fal_bench.reporting.context import ReportContext, task_facts
from fal_bench.reporting.external import external_curves, preview
from fal_bench.reporting.facts import ExternalOrigin, ExternalUnranked
from fal_bench.reporting.page import render_page
from fal_bench.results.imported import ImportFolder, as_results, read_file, read_import

OTHER = TINY.model_copy(
    update={"name": "other", "clients": 4, "query_size": 2, "initial_labels": 2}
)
HERE = TINY.name
LABELS = (10, 20, 30, 40, 50)


def curve(strategy="theirs", seed=0, *, start=0.2, labels=LABELS, task=HERE, **more):
    """Rows of one run whose accuracy rises by a tenth a row."""
    row = {"task": task, "strategy": strategy, "seed": seed, **more}
    return [
        {**row, "labels": count, "accuracy": start + 0.1 * place}
        for place, count in enumerate(labels)
    ]


def matching(*args, **more):
    """The same, as another falbench run exports it."""
    rows = curve(*args, task_hash=TINY.hash, **more)
    return [{**row, "labels_strict": row["labels"] + 3} for row in rows]


def six(*args, **more):
    """Such runs of six seeds."""
    return [row for seed in range(6) for row in matching(*args, seed=seed, **more)]


def put(root, rows, name="curves"):
    """Import rows into a results folder."""
    file = root / f"{name}.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    task = TINY.model_copy(update={"name": HERE})
    return ImportFolder(root).add(read_import(file, [task, OTHER]))


@pytest.fixture
def root(tmp_path):
    """A folder with six runs of random, which reaches 0.3 at 33 strict and 30 paper labels."""
    for seed in range(6):
        store_run(tmp_path, spec(seed=seed))
    return tmp_path


def ask(root, accounting="strict", target=0.3, **chosen):
    return report(root, target_acc=target, accounting=accounting, **chosen)


def board(result):
    return result.leaderboard.set_index("strategy", drop=False)


def about(result, strategy="theirs (external)"):
    """What is said of the origin of an external strategy."""
    (fact,) = [
        fact
        for fact in result.boards[0].facts.findings
        if isinstance(fact, ExternalOrigin) and strategy in fact.strategies
    ]
    return fact


def test_a_run_of_the_same_tasks_and_seeds_is_ranked_but_not_tested(root):
    alone = board(ask(root))
    put(root, [row for seed in range(8) for row in matching(seed=seed)])
    result = ask(root)
    table = board(result)
    theirs = table.loc["theirs (external)"]
    assert list(table["strategy"]) == ["theirs (external)", "random"]
    assert (theirs["rank"], theirs["verdict"], theirs["source"]) == (1, "external", "curves.csv")
    assert (theirs["runs"], theirs["reached"], theirs["tasks"]) == (6, 6, 1)  # seeds 6 and 7: no
    assert (theirs["labels"], theirs["labels_paper"]) == (pytest.approx(23), pytest.approx(20))
    assert theirs[["saving_vs_random", "saving_low", "pairs_both_censored"]].isna().all()
    # Its runs are not paired with these: the range of ranks that they leave is unknown.
    assert theirs[["rank_low", "rank_high"]].isna().all()
    # Nothing of the others changes but their rank.
    ranks = ["rank", "rank_low", "rank_high"]
    pd.testing.assert_series_equal(table.loc["random"].drop(ranks), alone.loc["random"].drop(ranks))
    imported = result.context.externals[0].origin.imported
    assert about(result) == ExternalOrigin(
        ("theirs (external)",),
        "curves.csv",
        "curves",
        imported,
        unranked="",
        runs=6,
        unknown=0,
        paired=False,
    )
    winner = result.boards[0].facts.verdict[0].standing
    assert (winner.strategy, winner.verdict) == ("theirs (external)", "external")
    assert winner.saving is None


@pytest.mark.parametrize("spoilt", ["nothing", "a bit", "a seed"])
def test_runs_beside_the_same_baseline_are_paired(root, spoilt):
    store_run(root, spec("mine", seed=0))  # incomplete: it changes nothing
    same = ask(root, strategies="random").curves
    theirs = same.assign(strategy="theirs", accuracy=same["accuracy"] + 0.1)
    if spoilt == "a bit":
        same.loc[same.index[-1], "accuracy"] = np.nextafter(same["accuracy"].iloc[-1], 1)
    if spoilt == "a seed":
        same = same[same["seed"] != 3]
    put(root, pd.concat([same, theirs]))
    result = ask(root)
    table = board(result)
    found = table.loc["theirs (external)"]
    paired = spoilt == "nothing"
    assert about(result).paired == paired
    assert found["verdict"] == ("better" if paired else "external")
    assert pd.notna(found["saving_vs_random"]) == pd.notna(found["rank_low"]) == paired
    assert table.loc["random (external)", "verdict"] == "external"  # it is the proof
    assert len(table) == 4


def test_a_curve_off_the_looks_is_read_at_its_own_labels(root):
    # Looks at 10, 20, 30, 40 and 50 labels read the models of 10, 14, 27, 33 and 44 labels; that
    # of 16 labels is passed over, though it is at the target.
    labels, accuracies = (10, 14, 16, 27, 33, 44, 55), (0.2, 0.3, 0.5, 0.4, 0.5, 0.6, 0.7)
    rows = six(labels=labels)
    for place, row in enumerate(rows):
        row["accuracy"] = accuracies[place % len(labels)]
    put(root, rows)
    theirs = board(ask(root, "paper", 0.45)).loc["theirs (external)"]
    assert (theirs["reached"], theirs["labels_step"]) == (6, 33)
    # Half way between the models of 27 and of 33 labels.
    assert theirs["labels"] == pytest.approx(30)
    assert board(ask(root, target=0.45)).loc["theirs (external)", "labels"] == pytest.approx(33)
    # On the line from 33 labels to 44, at the cap of 40.
    assert theirs["accuracy_final"] == pytest.approx(0.5 + 0.1 * 7 / 11)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (curve(), rf"no task_hash .* {HERE} "),
        (curve(task_hash=OTHER.hash), f"its task_hash {HERE} is another"),
        (matching(), "seeds 1, 2, 3, 4 and 5"),
        (six(labels=LABELS[:4]), f"{HERE}, seed 0, goes from 10 to 40 labels, .* 10 to 50"),
        (six(reference=True), "a reference"),
    ],
)
def test_what_does_not_compare_is_shown_after_the_ranked_rows_with_the_reason(root, rows, why):
    store_run(root, spec("late", seed=0))  # incomplete
    put(root, rows)
    result = ask(root)
    table = board(result)
    assert list(table["strategy"]) == ["random", "theirs (external)", "late"]
    assert table["rank"].isna().to_list() == [False, True, True]
    theirs = table.loc["theirs (external)"]
    assert theirs["verdict"] == "external"
    assert theirs["labels_paper"] == pytest.approx(20)
    assert re.search(why, about(result).unranked)
    assert ExternalUnranked(("theirs (external)",)) in result.boards[0].facts.verdict


def test_seeds_of_other_code_mean_nothing_but_count_as_runs(root):
    put(root, curve(seed=1234) + curve(seed=99, start=0.1))
    theirs = board(ask(root)).loc["theirs (external)"]
    assert (theirs["runs"], theirs["reached"]) == (2, 2)
    assert theirs["labels_paper"] == pytest.approx(25)


def test_unknown_strict_labels_are_never_assumed(root):
    rows = [row for seed in range(6) for row in curve(seed=seed, task_hash=TINY.hash)]
    put(root, rows)
    strict, paper = ask(root), ask(root, "paper")
    for table, rank in ((board(strict), pd.NA), (board(paper), 1)):
        theirs = table.loc["theirs (external)"]
        assert theirs["rank"] is rank or theirs["rank"] == rank
        assert math.isnan(theirs["labels_strict"])
        assert theirs["labels_paper"] == pytest.approx(20)
        assert math.isnan(theirs["labels"]) == (rank is pd.NA)
    assert "labels_strict" in about(strict).unranked
    assert about(paper).unranked == ""
    page = render_page(strict)
    assert "theirs (external)" in page


def test_a_curve_that_does_not_show_the_crossing_gives_no_number(root):
    short = curve(seed=0, labels=(10, 20), start=0.0)  # ends below the target
    late = curve(seed=1, labels=(30, 40, 50), start=0.5)  # begins above it
    put(root, short + late + curve(seed=2))
    result = ask(root)
    theirs = board(result).loc["theirs (external)"]
    assert (theirs["runs"], theirs["reached"]) == (1, 1)
    assert math.isnan(theirs["labels_paper"])
    assert (about(result).runs, about(result).unknown) == (3, 2)


def test_a_crossing_at_the_last_point_is_not_confirmed(root):
    put(root, curve(labels=LABELS[:4], start=0.0))
    assert board(ask(root)).loc["theirs (external)", "runs"] == 0
    # One that stays below the target up to the cap is known not to reach it.
    theirs = board(ask(root, target=0.9)).loc["theirs (external)"]
    assert (theirs["runs"], theirs["reached"], theirs["labels_paper"]) == (1, 0, 40)


def test_a_strategy_with_runs_on_some_tasks_only_has_no_mean(root):
    for seed in range(6):
        store_run(root, spec(seed=seed, task=OTHER))
    put(root, six())
    result = ask(root)
    theirs = board(result).loc["theirs (external)"]
    assert (theirs["tasks"], theirs["runs"]) == (1, 6)
    assert math.isnan(theirs["labels_paper"])
    assert OTHER.name in about(result).unranked
    assert board(ask(root, task=HERE)).loc["theirs (external)", "rank"] == 1
    assert "theirs (external)" not in board(ask(root, task=OTHER.name)).index


def test_a_task_is_the_same_by_its_hash_and_not_by_its_name(root):
    rows = six(task="their-name")
    rows += curve("fake")  # has the name alone, and curves of that task are there already
    put(root, rows)
    table = board(ask(root))
    assert table.loc["theirs (external)", "rank"] == 1
    assert "fake (external)" not in table.index


def test_one_strategy_of_two_imports_is_shown_twice(root):
    put(root, curve(), "lab-a")
    put(root, curve(start=0.1), "lab-b")
    table = board(ask(root))
    assert {"theirs @lab-a (external)", "theirs @lab-b (external)"} < set(table.index)
    assert table.loc["theirs @lab-b (external)", "source"] == "lab-b.csv"


def test_they_can_be_left_out(root):
    put(root, matching())
    result = ask(root, external=False)
    assert list(result.leaderboard["strategy"]) == ["random"]
    assert result.external is None
    assert f"report {root} --no-external " in result.context.command


def test_files_and_forms_say_where_rows_come_from(root, tmp_path):
    put(root, six("<b>theirs"))
    put(root, curve("<i>other"), "other")
    result = ask(root)
    names = ["task", "strategy", "seed", "cycle", "labels", "labels_strict", "accuracy"]
    assert result.external.columns.tolist() == [*names, "task_hash", "reference", "source"]
    result.write(tmp_path)
    written = pd.read_csv(tmp_path / "leaderboard.csv").set_index("strategy")
    assert written["source"].to_dict() == {
        "<b>theirs (external)": "curves.csv",
        "<i>other (external)": "other.csv",
        "random": pytest.approx(math.nan, nan_ok=True),
    }
    # What was measured here stays apart: its file can be imported elsewhere.
    assert set(pd.read_csv(tmp_path / "curves.csv")["strategy"]) == {"random"}
    (question,) = [board["question"] for board in json.loads(result.text("json"))]
    assert [one["file"] for one in question["external"]] == ["curves.csv", "other.csv"]
    assert question["external"][0]["not_ranked"] is None
    assert "\\<b\\>theirs (external): " in result.text("md")
    console = Console(width=120)
    with console.capture() as capture:
        console.print(result)
    shown = capture.get()
    assert "<i>other (external)" in shown
    assert "other.csv" in shown


def test_the_page_draws_them_and_names_their_files(root):
    put(root, six("<b>theirs"))
    put(root, curve("bare", seed=7), "bare")
    result = ask(root, "paper")
    page = render_page(result)
    assert page == render_page(ask(root, "paper"))
    assert "<b>theirs" not in page
    origins = page[page.index('id="external"') :]
    origins = origins[: origins.index("</table>")]
    for external in result.context.externals:
        assert external.origin.file in origins
        assert external.origin.imported in origins
        assert external.origin.sha256 in origins
    assert "no: its file" in origins
    assert 'class="external"' in page
    assert '"name": "bare (external)"' in page
    # Pairs, ledger and costs are those of runs; ranks and budgets are everybody's.
    for key, there in (("ecdf", True), ("ranks", True), ("ledger", False), ("costs", False)):
        section = page[page.index(f'<h2 id="{key}">') :]
        section = section[: section.index("</section>")]
        assert ("theirs (external)" in section) == there, key
    assert 'id="external"' not in render_page(ask(root, external=False))


def test_under_strict_labels_a_curve_without_them_is_not_drawn_but_tabled(root):
    put(root, curve("bare", seed=7))
    page = render_page(ask(root))
    assert '"name": "bare (external)"' not in page
    assert "bare (external)" in page


@pytest.mark.parametrize("accounting", ["strict", "paper", "cost"])
@pytest.mark.parametrize("baseline", [True, False])
def test_a_curve_beyond_every_look_is_no_curve(tmp_path, baseline, accounting):
    """It has no model that a look reads, so the board and its ladder are those without it."""
    names = ("random", "logo") if baseline else ("logo",)
    for name in names:
        for seed in range(2):
            store_run(tmp_path, spec(name, seed))
    alone = ask(tmp_path, accounting, "auto")
    put(tmp_path, matching("far", labels=(1000, 2000)))
    result = ask(tmp_path, accounting, "auto")
    assert result.context.ladder == alone.context.ladder
    assert board(result).loc["far (external)", "runs"] == 0
    page = render_page(result)
    assert "far (external)" in page
    assert len(result.figure("curves").axes) == 1


def test_the_preview_says_what_will_be_shown(tmp_path):
    facts = [task_facts(TINY, 0), task_facts(OTHER, 0)]

    def say(rows):
        one = put(tmp_path, rows, f"n{len(list(tmp_path.iterdir()))}")
        return preview(as_results([one]), facts)

    (ranked,) = say(matching(task="tiny") + matching(seed=1, task="tiny"))
    assert ranked.startswith("theirs (external): 2 runs ")
    assert "--accounting" not in ranked
    (paper,) = say(curve(task_hash=TINY.hash))
    assert "--accounting paper only" in paper
    (shown,) = say(curve(task="other"))
    assert "not ranked" in shown
    assert "task_hash" in shown


# What a falbench run exports is what another folder reads.

FACTS = task_facts(TINY, 200)


@st.composite
def falbench_runs(draw):
    """Curves as falbench writes them: fixed-size or adaptive, over at most ten cycles."""
    records = []
    for strategy in ("one", "two[k=3]"):
        for seed in range(draw(st.integers(1, 3))):
            labels = [10]
            while labels[-1] < 50 and len(labels) < TINY.cycle_limit:
                labels.append(min(50, labels[-1] + draw(st.integers(0, 20))))
            extra = draw(st.lists(st.integers(0, 9), min_size=len(labels), max_size=len(labels)))
            read = list(pd.Series(extra).cumsum())
            accuracies = draw(st.lists(st.floats(0, 1), min_size=len(labels), max_size=len(labels)))
            records += [
                {
                    "task": "tiny", "strategy": strategy, "seed": seed, "cycle": cycle,
                    "labels": labels[cycle], "labels_strict": labels[cycle] + read[cycle],
                    "accuracy": accuracies[cycle], "task_hash": TINY.hash, "reference": False,
                }
                for cycle in range(len(labels))
            ]  # fmt: skip
    return pd.DataFrame(records)


def question(strategies=(), seeds=(), externals=()):
    return ReportContext(
        "toy", 0.5, "strict", "random", strategies, seeds, (FACTS,), (), "", "0",
        externals=externals,
    )  # fmt: skip


@settings(max_examples=20)
@given(curves=falbench_runs(), target=st.floats(0.05, 0.95))
def test_an_exported_run_gives_the_same_budgets_when_imported(tmp_path_factory, curves, target):
    strategies, seeds = tuple(curves["strategy"].unique()), tuple(curves["seed"].unique())
    file = tmp_path_factory.mktemp("exported") / "curves.csv"
    curves.sample(frac=1, random_state=0).to_csv(file, index=False)
    own = replace(question(strategies, seeds), target=target)
    expected = budgets_at(read_runs(curves, own), own)
    imported = read_file(file)
    for strategy in strategies:
        mine = imported.only(imported.runs["strategy"] == strategy)
        its_seeds = sorted(set(mine.runs["seed"]))
        externals, rows = external_curves(mine, [FACTS], its_seeds, "random")
        (external,) = externals
        assert external.obstacle == ""
        asked = replace(question(externals=externals), target=target)
        found = budgets_at(read_runs(curves.iloc[:0], asked, rows), asked)
        # Texts, since NaN equals nothing, with all digits.
        assert {seed: repr(run) for (_, _, seed), run in found.items()} == {
            seed: repr(run) for (_, name, seed), run in expected.items() if name == strategy
        }


def test_an_exported_folder_gives_the_same_board_in_an_empty_one(root, tmp_path_factory):
    for seed in range(6):
        store_run(root, spec("fine", seed=seed), start=0.15)
    curves = load(root).shown_curves()
    assert (curves["task_hash"] == TINY.hash).all()
    assert not curves["reference"].any()
    empty = tmp_path_factory.mktemp("empty")
    put(empty, curves.drop(columns=["labels_by_client", "labels_strict_by_client"]))
    for seed in range(6):
        store_run(empty, spec("own", seed=seed), start=0.05)
    there, here = board(ask(root)), board(ask(empty))
    same = [
        name
        for name in there.columns
        if not name.startswith(("rank", "saving", "pairs", "tasks_"))
        and name not in ("strategy", "verdict", "trainer", "source")
    ]
    for name in ("random", "fine"):
        pd.testing.assert_series_equal(
            there.loc[name, same], here.loc[f"{name} (external)", same], check_names=False
        )
    assert list(here["rank"]) == [1, 2, 3]
