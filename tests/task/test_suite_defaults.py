"""What a suite says of its comparison holds where the user says nothing."""

import shlex
from pathlib import Path

import pytest

import fal_bench
from fal_bench.reporting.targets import Question
from fal_bench.sweep.plan import Plan
from fal_bench.task.suite import load_suite
from fal_bench.task.target import DEFAULT_TARGETS, Target, parse_targets


@pytest.fixture
def opinionated(suite, tmp_path):
    """The tiny suite, with targets and strategies of its own."""
    file = tmp_path / "opinionated.toml"
    with open(suite) as plain:
        file.write_text(
            "targets = [0.2, 0.4]\nstrategies = ['random', 'fal-margin']\n" + plain.read()
        )
    return str(file)


def test_strategies_and_targets_of_the_suite(opinionated):
    plan = Plan.make(suite=opinionated)
    assert plan.strategies == ("random", "fal-margin")
    assert plan.suite.targets == (Target(0.2), Target(0.4))
    assert "-s fal-margin -s random" in plan.command
    one = Plan.make(suite=opinionated, task="b")
    assert (one.strategies, one.suite) == (plan.strategies, plan.suite)
    assert Plan.make("fal-entropy", suite=opinionated).strategies == ("fal-entropy",)


def test_a_suite_without_them_gets_the_usual_ones(suite):
    plan = Plan.make(suite=suite)
    assert plan.strategies == ("random", "fal-margin", "logo", "fedral")
    assert plan.suite.targets == ()
    assert (Target(None),) == DEFAULT_TARGETS


def test_a_task_alone_is_compared_as_its_suite_says():
    plan = Plan.make(task="kafal-cifar10", device="cpu")
    kafal = load_suite("kafal-cifar10")
    assert plan.suite.targets == kafal.targets
    assert plan.strategies == kafal.strategies
    assert plan.seeds == tuple(range(kafal.seeds))
    assert "--suite" not in plan.command


def test_a_strategy_that_a_suite_names_is_not_left_out_in_silence(tmp_path):
    (tmp_path / "s.toml").write_text("strategies = ['fedral']\n[tasks.a]\n")
    with pytest.raises(fal_bench.FalbenchError, match=r"'fedral'.*shares"):
        Plan.make(suite=str(tmp_path / "s.toml"))
    (tmp_path / "t.toml").write_text("strategies = ['fedrall']\n[tasks.a]\n")
    with pytest.raises(fal_bench.FalbenchError, match=r"'fedrall'.*'fedral'"):
        Plan.make(suite=str(tmp_path / "t.toml"))


def test_compare_and_report_ask_the_suites_question(falbench, opinionated, tmp_path):
    options = ["--suite", opinionated, "--format", "csv"]
    code, board, _ = falbench(
        "compare", *options, "--task", "a", "--seeds", 1, "--backend", "sequential"
    )
    assert code == 0
    assert targets(board) == [0.2, 0.2, 0.4, 0.4]
    code, board, _ = falbench("report", *options, "--task", "a")
    assert code == 0
    assert targets(board) == [0.2, 0.2, 0.4, 0.4]
    _, board, _ = falbench("report", *options, "--task", "a", "--target-acc", "0.3")
    assert targets(board) == [0.3, 0.3]
    _, board, _ = falbench("report", "--format", "csv")  # no suite of the package has the tasks
    assert board.count(",auto,") == 2
    result = fal_bench.compare(
        suite=opinionated, task="a", seeds=1, out=tmp_path / "results", progress=False
    )
    assert sorted(set(result.leaderboard["target_acc"])) == [0.2, 0.4]


def targets(board):
    head, *rows = (line.split(",") for line in board.splitlines())
    return [float(row[head.index("target_acc")]) for row in rows]


def test_targets_are_distinct_and_in_order():
    assert parse_targets([0.5, "auto", "0.50", 1], "here") == (
        Target(0.5),
        Target(None),
        Target(1.0),
    )


def test_targets_of_other_metrics_name_them():
    given = ["macro-f1=0.6", "loss = auto", "macro_f1=0.60", "accuracy=0.5"]
    targets = parse_targets(given, "target", named=True)
    assert targets == (Target(0.6, "macro_f1"), Target(None, "loss"), Target(0.5))
    assert [str(one) for one in targets] == ["macro_f1=0.6", "loss=auto", "0.5"]
    assert [one.plain for one in targets] == ["macro_f1=0.6", "loss=auto", 0.5]
    for wrong in ("0.5", "loss=", "loss=inf", "accuracy=2", "=1"):
        with pytest.raises(fal_bench.FalbenchError, match=r"^target"):
            parse_targets([wrong], "target", named=True)


def test_a_suite_may_ask_for_any_metric(tmp_path):
    (tmp_path / "s.toml").write_text("targets = [0.3, 'loss=1.5']\n[tasks.a]\n")
    assert load_suite(str(tmp_path / "s.toml")).targets == (Target(0.3), Target(1.5, "loss"))


def test_suites_are_described(falbench):
    code, out, _ = falbench("list", "suites", "--verbose")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "0.6, 0.65, 0.7" in lines["kafal-cifar10"]
    assert lines["quick"].endswith("Seeds: 5.")
    _, plain, _ = falbench("list", "suites")
    assert "Seeds" not in plain


def test_the_command_can_be_pasted(suite, tmp_path):
    spaced = tmp_path / "my suite.toml"
    spaced.write_text(Path(suite).read_text())
    words = shlex.split(Plan.make("logo[n_init=4],random", suite=str(spaced)).command)
    assert words[:4] == ["falbench", "compare", "--suite", str(spaced)]
    assert words[-6:-2] == ["-s", "logo[n_init=4]", "-s", "random"]
    question = Question((Target(0.45123456), Target(None)), "paper", "logo[n_init=4]")
    assert shlex.split(question.options()) == [
        "--target-acc", "0.45123456,auto", "--accounting", "paper", "--baseline", "logo[n_init=4]",
    ]  # fmt: skip
