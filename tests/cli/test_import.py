"""``falbench import``, and external curves in ``compare``, ``report`` and ``merge``."""

import re
import subprocess
import sys

import pandas as pd
import pytest

import fal_bench

GOOD = "task,strategy,seed,labels,accuracy\na,theirs,0,10,0.1\na,theirs,0,20,0.5\n"


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_of_falbench_is_recognised_in_another_folder(falbench, suite, tmp_path):
    options = ["--suite", suite, "--target-acc", 0.25, "--backend", "sequential"]
    strategies = ["-s", "random", "-s", "logo"]
    assert falbench("compare", *options, *strategies, "--out", "theirs")[0] == 0
    theirs = pd.read_csv(tmp_path / "theirs" / "leaderboard.csv").set_index("strategy")

    code, out, err = falbench("import", "theirs/curves.csv", "--suite", suite, "--name", "lab")
    assert code == 0, err
    assert "Imported 32 rows" in out
    assert "logo (external): 4 runs" in out
    assert {"labels_by_client", "labels_strict_by_client"} <= set(re.findall(r"\w+", err))
    before = files(tmp_path / "results")
    assert list(before) == [tmp_path / "results" / "external" / "lab.csv"]
    code, out, _ = falbench("import", "theirs/curves.csv", "--suite", suite)
    assert code == 0
    assert "'lab' since" in out
    assert "nothing changed" in out
    assert files(tmp_path / "results") == before

    code, out, err = falbench("compare", *options, "-s", "random")
    assert code == 0, err
    mine = pd.read_csv(tmp_path / "results" / "leaderboard.csv").set_index("strategy")
    assert set(mine.index) == {"random", "random (external)", "logo (external)"}
    numbers = ["rank", "reached", "labels", "labels_low", "labels_step", "labels_paper", "aulc"]
    assert mine.loc["logo (external)", numbers[1:]].equals(theirs.loc["logo", numbers[1:]])
    # The same run twice: the imported one ties with our own.
    assert mine.loc["random (external)", numbers].equals(mine.loc["random", numbers])
    assert mine["verdict"].to_dict() == {
        "random": "baseline", "random (external)": "external", "logo (external)": "not comparable",
    }  # fmt: skip
    out = falbench("report", "--suite", suite, "--explain")[1]
    said = " ".join(out.split())
    assert "random (external): not measured here" in said
    assert " as lab on 20" in said
    assert "curves.csv" in (tmp_path / "results" / "leaderboard.html").read_text()

    result = fal_bench.compare(
        "random", suite=suite, target_acc=0.25, out=tmp_path / "results", progress=False
    )
    assert set(result.leaderboard["strategy"]) == set(mine.index)
    assert set(result.external["strategy"]) == {"random (external)", "logo (external)"}
    assert set(result.curves["strategy"]) == {"random"}
    bare = fal_bench.compare(
        "random", suite=suite, out=tmp_path / "results", progress=False, external=False
    )
    assert bare.leaderboard["strategy"].tolist() == ["random"]
    assert bare.external is None

    for verb in (["compare", *options, "-s", "random"], ["report", "--suite", suite]):
        out = falbench(*verb, "--format", "csv", "--no-external")[1]
        assert "(external)" not in out
        assert "(external)" in falbench(*verb, "--format", "csv")[1]
    code, _, err = falbench("merge", "results", "--out", "all")
    assert (code, err[:6], err.count("\n")) == (0, "Note: ", 1)
    assert "external curves" in err
    code, out, _ = falbench("import", "--remove", "lab")
    assert (code, out) == (0, "Removed lab.\n")
    assert "(external)" not in falbench("report", "--suite", suite, "--format", "csv")[1]


def test_curves_of_other_code_are_shown_and_not_ranked(falbench, suite, tmp_path):
    rows = [
        f"{task},FedX,{seed},{labels},{labels / 100}\n"
        for task in ("a", "b")
        for seed in (17, 18, 19)
        for labels in range(10, 41, 5)
    ]
    (tmp_path / "fedx.csv").write_text(GOOD.splitlines()[0] + "\n" + "".join(rows))
    code, out, _ = falbench("import", "fedx.csv", "--suite", suite)
    assert code == 0
    assert re.search(r"FedX \(external\): 6 runs .*not ranked", out)
    assert "task_hash" in out
    assert "import --remove fedx" in out
    code, _, err = falbench(
        "compare", "--suite", suite, "-s", "random", "--target-acc", 0.25, "--backend", "sequential"
    )
    assert code == 0, err
    board = pd.read_csv(tmp_path / "results" / "leaderboard.csv").set_index("strategy")
    theirs = board.loc["FedX (external)"]
    assert pd.isna(theirs["rank"])
    assert pd.isna(theirs["labels"])  # strict labels are unknown
    assert (theirs["runs"], theirs["reached"]) == (6, 6)
    assert theirs["labels_paper"] == pytest.approx(25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "curves.csv is empty"),
        (GOOD.replace("seed,", ""), "line 1: .*no column seed"),
        (GOOD.replace("0.5", "half"), "line 3, column accuracy: 'half'"),
        (GOOD.replace("0.5", "50"), "line 3, column accuracy: 50 "),
        (GOOD.replace("20", "9"), "line 3, column labels: .* 10 to 9"),
        (GOOD.replace("20", "10"), "line 3, column labels: .* line 2"),
        (GOOD.replace("a,t", "c,t"), "line 2, column task: .*'c'"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(falbench, suite, tmp_path, text, message):
    (tmp_path / "curves.csv").write_text(text)
    before = files(tmp_path)
    code, out, err = falbench("import", "curves.csv", "--suite", suite)
    assert (code, out) == (2, "")
    assert re.search(message, err), err
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--remove; not both"),
        (["curves.csv", "--remove", "curves"], "--remove; not both"),
        (["none.csv"], "'none.csv'"),
        (["curves.csv"], "without --suite, unknown task 'a'"),
        (["--remove", "curves"], "no external curves"),
        (["curves.csv", "--out", "curves.csv"], "'curves.csv' is a file"),
        (["curves.csv", "--suite", "quik"], "'quik'"),
    ],
)
def test_wrong_commands_are_one_sentence(falbench, tmp_path, arguments, message):
    (tmp_path / "curves.csv").write_text(GOOD)
    code, out, err = falbench("import", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_a_spoiled_import_is_said_before_anything_runs(falbench, suite, tmp_path):
    folder = tmp_path / "results" / "external"
    folder.mkdir(parents=True)
    (folder / "lab.csv").write_text("no curves\n")
    code, _, err = falbench("compare", "--suite", suite, "-s", "random")
    assert code == 2
    assert "external/lab.csv'" in err
    assert not (tmp_path / "results" / "runs").exists()
    dry = ("--dry-run", "--backend", "sequential")
    assert falbench("compare", "--suite", suite, *dry, "--no-external")[0] == 0


def test_importing_needs_no_torch(tmp_path, suite):
    (tmp_path / "curves.csv").write_text(GOOD)
    code = (
        "import sys; from fal_bench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    for arguments in (["--help"], ["curves.csv", "--suite", suite]):
        command = [sys.executable, "-c", code, "import", *arguments]
        found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found
    assert (tmp_path / "results" / "external" / "curves.csv").exists()


def test_a_report_of_imports_alone_says_that_they_are_there(falbench, tmp_path, suite):
    (tmp_path / "good.csv").write_text(GOOD)
    assert falbench("import", "good.csv", "--suite", suite)[0] == 0
    code, _, err = falbench("report")
    assert code == 2
    assert "(good)" in err
    code, _, err = falbench("report", "good.csv")
    assert code == 2
    assert "good.csv'; import" in err
