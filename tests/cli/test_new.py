"""``falbench new``: what is written works as it is."""

import ast
import re
import shlex

import pandas as pd
import pytest

KINDS = {"my-idea": [], "my-saver": ["--adaptive"], "my-server-2": ["--coordinated"]}


def lines_of_code(text):
    """Count lines that are neither blank nor part of a docstring or comment."""
    documented = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            documented |= set(range(node.lineno, node.end_lineno + 1))
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in documented
        for number, line in enumerate(text.splitlines(), start=1)
    )


def test_what_is_written_passes_its_checks_and_is_ranked(falbench, run_tests, tmp_path, suite):
    for name, options in KINDS.items():
        code, out, _ = falbench("new", "strategy", name, *options)
        assert code == 0
        file = f"{name.replace('-', '_')}.py"
        first, *commands = out.splitlines()
        assert first.startswith(f"Wrote {file} and test_{file}.")
        compare = ["--plugin", file, "-s", name, "-s", "random", "--suite", "smoke"]
        assert [shlex.split(one)[1:] for one in commands] == [
            ["check", file], ["compare", *compare]
        ]  # fmt: skip
        assert lines_of_code((tmp_path / file).read_text()) <= 25
    # The tests that are written do all checks.
    code, out, err = falbench("check", ".", "--only", "params", "--only", "coordination")
    assert code == 0, out + err
    assert re.findall(r"^(\S+) passes: ", out, re.MULTILINE) == list(KINDS)
    assert "(unsure)" in out.partition("my-saver [")[2]
    assert "bytes of messages" in out.partition("my-server-2 [")[2]
    assert run_tests(tmp_path) == 3
    code, _, err = falbench(
        "compare", "--plugin", ".", *(f"-s{name}" for name in (*KINDS, "random")),
        "--suite", suite, "--task", "a", "--seeds", 1, "--backend", "sequential",
    )  # fmt: skip
    assert (code, "Note" in err) == (0, False), err
    board = pd.read_csv(tmp_path / "results" / "leaderboard.csv")
    assert set(board.strategy) == {*KINDS, "random"}
    assert board["rank"].notna().all()


def test_the_other_kinds_pass_their_tests_and_run_as_the_next_steps_say(
    falbench, run_tests, tmp_path, suite
):
    kinds = ("aggregation", "dataset", "model", "metric")
    rows = {kind: ["random", "fal-margin"] for kind in kinds}
    rows["trainer"] = ["random", "random[trainer=own-trainer]"]
    rows["trainer"] += ['random[trainer="own-trainer[smoothing=0.3]"]']
    checked, comparisons = [], {}
    for kind in rows:
        before = {*tmp_path.iterdir()}
        code, out, err = falbench("new", kind, f"own-{kind}")
        assert code == 0, err
        wrote, *commands = out.splitlines()
        files = {f"{stem}.py" for stem in (f"own_{kind}", f"test_own_{kind}")}
        files |= {f"own_{kind}.toml"} if kind in ("aggregation", "dataset", "model") else set()
        assert {path.name for path in {*tmp_path.iterdir()} - before} == files
        assert all(name in wrote for name in files)
        assert lines_of_code((tmp_path / f"own_{kind}.py").read_text()) <= 25
        (verb, *names), comparison = (shlex.split(line)[1:] for line in commands)
        comparisons[kind] = [suite if one == "smoke" else one for one in comparison]
        assert verb == "check"
        checked += names
    assert run_tests(tmp_path) == len(rows)
    code, out, err = falbench("check", *checked, "--only", "params", "--only", "repeatable")
    assert code == 0, out + err
    assert len(re.findall(r"^own[-_]\w+ passes: ", out, re.MULTILINE)) == len(rows)
    assert "(smoothing)" in out
    comparisons["trainer"] += ["-s", rows["trainer"][-1]]
    for kind, arguments in comparisons.items():
        out = ["--out", tmp_path / f"{kind}-results"]
        code, _, err = falbench(*arguments, *out, "--seeds", 1, "--backend", "sequential")
        assert (code, "Note" in err) == (0, False), err
        curves = pd.read_csv(out[1] / "curves.csv")
        assert set(curves.strategy) == set(rows[kind])
        assert ("own_metric" in curves) == (kind == "metric")
        if kind == "trainer":
            losses = curves[curves.cycle == curves.cycle.max()].groupby("task").loss
            assert (losses.nunique() == len(rows[kind])).all()


def test_a_file_is_never_overwritten(falbench, tmp_path):
    (tmp_path / "plugins").mkdir()
    for name in ("my_idea.py", "test_my_idea.py"):
        file = tmp_path / "plugins" / name
        file.write_text("mine")
        code, _, err = falbench("new", "strategy", "my-idea", "--out", "plugins")
        assert code == 2
        assert f"'plugins/{name}'" in err
        assert [one.read_text() for one in (tmp_path / "plugins").iterdir()] == ["mine"]
        file.unlink()


def test_the_folder_is_made_and_named_in_the_commands(falbench, tmp_path):
    code, out, _ = falbench("new", "strategy", "my-idea", "--out", "my plugins")
    assert code == 0
    named = shlex.split(out.splitlines()[1])[-1]
    assert named.startswith("my plugins/")
    assert (tmp_path / named).exists()


@pytest.mark.parametrize(
    ("kind", "arguments", "culprit"),
    [
        ("strategy", ["My-Idea"], "'My-Idea'"),
        ("strategy", ["my_idea"], "'my_idea'"),
        ("strategy", ["my-"], "'my-'"),
        ("strategy", ["random"], "(fal_bench.strategies.random)"),
        ("strategy", ["torch"], "torch.py"),
        ("strategy", ["class"], "class.py"),
        ("strategy", ["strategy"], "a class Strategy "),
        ("strategy", ["my-idea", "--adaptive", "--coordinated"], "either --adaptive"),
        ("trainer", ["My-Loss"], "'My-Loss'"),
        ("trainer", ["kcfu"], "(fal_bench.trainers.kcfu)"),
        ("trainer", ["trainer"], "a class Trainer "),
    ],
)
def test_wrong_use_is_one_sentence_and_writes_nothing(falbench, tmp_path, kind, arguments, culprit):
    code, out, err = falbench("new", kind, *arguments)
    assert (code, out) == (2, "")
    assert culprit in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_strategy_and_a_trainer_may_share_a_name(falbench, tmp_path):
    assert falbench("new", "trainer", "random", "--out", "trainers")[0] == 2  # Python's own module
    assert falbench("new", "trainer", "fal-margin", "--out", "trainers")[0] == 0
