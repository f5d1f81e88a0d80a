"""The worked package in ``examples/``: installed, it is found through its entry point."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "falbench-density"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder of its own into which the package is installed."""
    # Built from a copy: setuptools leaves its intermediate files beside the sources.
    copy, site = tmp_path_factory.mktemp("copy") / EXAMPLE.name, tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, copy)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
         "--no-index", "--disable-pip-version-check", "--target", site, copy],
        check=True,
    )  # fmt: skip
    return site


def put_on_path(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "falbench_density", raising=False)


@pytest.fixture
def found(installed, monkeypatch):
    put_on_path(installed, monkeypatch)


@pytest.fixture
def broken(installed, monkeypatch, tmp_path):
    """The same package, whose module needs something that is not there."""
    site = tmp_path / "broken"
    shutil.copytree(installed, site)
    (site / "falbench_density.py").write_text("import not_installed_anywhere\n")
    put_on_path(site, monkeypatch)


def options(suite):
    return ["--suite", suite, "--task", "a", "--seeds", 1, "--backend", "sequential"]


@pytest.mark.usefixtures("found")
def test_it_is_listed_and_ranked_without_any_option(falbench, suite, tmp_path):
    code, out, _ = falbench("list", "strategies", "--verbose")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("density-entropy ")]
    assert "density of the" in line
    assert "[falbench_density:DensityEntropy]" in line
    code, _, err = falbench(
        "compare", *options(suite), "-s", "density-entropy[beta=0,1,9]", "-s", "fal-entropy"
    )
    assert code == 0, err
    board = pd.read_csv(tmp_path / "results" / "leaderboard.csv")
    assert set(board["strategy"]) == {
        "density-entropy", "density-entropy[beta=0.0]", "density-entropy[beta=9.0]", "fal-entropy",
    }  # fmt: skip
    assert board["rank"].notna().all()
    curves = pd.read_csv(tmp_path / "results" / "curves.csv").set_index(["strategy", "cycle"])
    losses = curves["loss"].unstack(level="cycle")
    assert losses.loc["density-entropy[beta=0.0]"].equals(losses.loc["fal-entropy"])
    assert not losses.loc["density-entropy[beta=9.0]"].equals(losses.loc["fal-entropy"])


@pytest.mark.usefixtures("found")
def test_its_own_tests_pass(run_tests, tmp_path):
    shutil.copy(EXAMPLE / "test_falbench_density.py", tmp_path)  # and not the module beside it
    assert run_tests(tmp_path) == 3


@pytest.mark.usefixtures("broken")
def test_broken_on_import_it_is_listed_with_its_reason_and_stops_nothing_else(falbench, suite):
    reason = "No module named 'not_installed_anywhere'"
    code, out, _ = falbench("list", "strategies", "--verbose")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("density-entropy ")]
    assert "unavailable: " in line
    assert reason in line
    assert "density-entropy" in falbench("list", "strategies")[1].split()
    code, _, err = falbench("compare", *options(suite), "-s", "random")
    assert code == 0, err
    code, _, err = falbench("compare", *options(suite), "-s", "all", "--dry-run")
    assert code == 0
    (note,) = [line for line in err.splitlines() if "density-entropy is left out" in line]
    assert reason in note
    code, _, err = falbench("compare", *options(suite), "-s", "density-entropy")
    assert code == 2
    assert "(falbench_density:DensityEntropy)" in err
    assert reason in err
    assert len(err.splitlines()) == 1
