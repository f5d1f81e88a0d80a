"""``falbench new``: what is written works as it is."""

import ast
import re
import shlex
import subprocess
import sys

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


def test_what_is_written_passes_its_checks_and_is_ranked(falbench, tmp_path, suite):
    for name, options in KINDS.items():
        code, out, _ = falbench("new", "strategy", name, *options)
        assert code == 0
        module = name.replace("-", "_")
        first, *commands = out.splitlines()
        assert first == f"Wrote {module}.py and test_{module}.py. Next:"
        assert commands == [
            f"  falbench check {module}.py",
            f"  falbench compare --plugin {module}.py -s {name} -s random --suite smoke",
        ]
        assert lines_of_code((tmp_path / f"{module}.py").read_text()) <= 25
    code, out, err = falbench("check", ".")
    assert code == 0, out + err
    assert re.findall(r"^(\S+) passes: ", out, re.MULTILINE) == list(KINDS)
    assert "survive JSON (unsure)" in out.partition("my-saver [")[2]
    assert "bytes of messages" in out.partition("my-server-2 [")[2]
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "3 passed" in tests.stdout, tests.stdout
    code, _, err = falbench(
        "compare", "--plugin", ".", *(f"-s{name}" for name in (*KINDS, "random")),
        "--suite", suite, "--task", "a", "--seeds", 1, "--backend", "sequential",
    )  # fmt: skip
    assert (code, "Note" in err) == (0, False), err
    board = pd.read_csv(tmp_path / "results" / "leaderboard.csv")
    assert set(board.strategy) == {*KINDS, "random"}
    assert board["rank"].notna().all()


def test_a_new_trainer_passes_its_checks_and_is_ranked(falbench, tmp_path, suite):
    code, out, _ = falbench("new", "trainer", "my-loss")
    assert code == 0
    assert out.splitlines() == [
        "Wrote my_loss.py and test_my_loss.py. Next:",
        "  falbench check my_loss.py",
        '  falbench compare --plugin my_loss.py -s "random[trainer=my-loss]" -s random '
        "--suite smoke",
    ]
    assert lines_of_code((tmp_path / "my_loss.py").read_text()) <= 25
    code, out, err = falbench("check", "my_loss.py")
    assert code == 0, out + err
    assert "my-loss passes: " in out
    assert "survive JSON (smoothing)" in out
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 passed" in tests.stdout, tests.stdout
    rows = ["random", "random[trainer=my-loss]", "random[trainer=my-loss[smoothing=0.3]]"]
    code, _, err = falbench(
        "compare", "--plugin", "my_loss.py", *(f"-s{row}" for row in rows),
        "--suite", suite, "--task", "a", "--seeds", 1, "--backend", "sequential",
    )  # fmt: skip
    assert code == 0, err
    curves = pd.read_csv(tmp_path / "results" / "curves.csv")
    last = curves[curves.cycle == curves.cycle.max()]
    assert last.loss.nunique() == len(rows)


@pytest.mark.parametrize("kind", ["dataset", "model", "metric"])
def test_the_other_kinds_pass_their_tests_and_run_as_the_next_steps_say(kind, falbench, tmp_path):
    code, out, err = falbench("new", kind, "my-own")
    assert code == 0, err
    wrote, *commands = out.splitlines()
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"my_own.py", "test_my_own.py"} | (
        {"my_own.toml"} if kind != "metric" else set()
    )
    assert all(name in wrote for name in files)
    assert lines_of_code((tmp_path / "my_own.py").read_text()) <= 25
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "1 passed" in tests.stdout, tests.stdout
    code, out, err = falbench("check", "my_own.py")
    assert code == 0, out + err
    [compare] = [shlex.split(line)[1:] for line in commands if " compare " in line]
    code, _, err = falbench(*compare, "--seeds", 1, "--backend", "sequential")
    assert (code, "Note" in err) == (0, False), err
    curves = pd.read_csv(tmp_path / "results" / "curves.csv")
    assert set(curves.strategy) == {"random", "fal-margin"}
    assert ("my_own" in curves) == (kind == "metric")


def test_a_file_is_never_overwritten(falbench, tmp_path):
    (tmp_path / "plugins").mkdir()
    for name in ("my_idea.py", "test_my_idea.py"):
        file = tmp_path / "plugins" / name
        file.write_text("mine")
        code, _, err = falbench("new", "strategy", "my-idea", "--out", "plugins")
        assert code == 2
        assert f"'plugins/{name}' exists and is not overwritten" in err
        assert [one.read_text() for one in (tmp_path / "plugins").iterdir()] == ["mine"]
        file.unlink()


def test_the_folder_is_made_and_named_in_the_commands(falbench, tmp_path):
    code, out, _ = falbench("new", "strategy", "my-idea", "--out", "my plugins")
    assert code == 0
    assert (tmp_path / "my plugins" / "my_idea.py").exists()
    assert "falbench check 'my plugins/my_idea.py'" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["My-Idea"], "'My-Idea' cannot be a strategy's name; use words in lower case"),
        (["my_idea"], "cannot be a strategy's name"),
        (["my-"], "cannot be a strategy's name"),
        (["random"], "There is a strategy 'random' already (fal_bench.strategies.random)"),
        (["torch"], "A file torch.py"),
        (["class"], "choose another name"),
        (["strategy"], "a class Strategy "),
        (["my-idea", "--adaptive", "--coordinated"], "either --adaptive or --coordinated"),
    ],
)
def test_wrong_use_is_one_sentence_and_writes_nothing(falbench, tmp_path, arguments, message):
    code, out, err = falbench("new", "strategy", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My-Loss", "'My-Loss' cannot be a trainer's name; use words in lower case"),
        ("kcfu", "There is a trainer 'kcfu' already (fal_bench.trainers."),
        ("trainer", "a class Trainer "),
    ],
)
def test_wrong_names_of_trainers_are_refused(falbench, tmp_path, name, message):
    code, out, err = falbench("new", "trainer", name)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.iterdir())


def test_a_strategy_and_a_trainer_may_share_a_name(falbench, tmp_path):
    assert falbench("new", "trainer", "random", "--out", "trainers")[0] == 2  # Python's own module
    assert falbench("new", "trainer", "fal-margin", "--out", "trainers")[0] == 0
