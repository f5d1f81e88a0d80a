"""The wheel, installed away from the repository: no stray modules, and the plugins are found."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # Built from a copy: setuptools leaves its intermediate files beside the sources.
    folder, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("copy")
    for name in ("fal_bench", "strategies", "environments"):
        shutil.copytree(REPOSITORY / name, copy / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "--wheel-dir", folder, copy],
        check=True,
    )  # fmt: skip
    [built] = folder.glob("falbench-*.whl")
    return built


def test_it_holds_one_top_level_package_and_all_its_data(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"fal_bench"}
    for name in (
        "fal_bench/py.typed",
        "fal_bench/task/suites/quick.toml",
        "fal_bench/strategies/logo.py",
        "fal_bench/environments/__init__.py",
        "fal_bench/reporting/templates/leaderboard.html.j2",
        "fal_bench/cli/templates/strategy.txt",
        "fal_bench/cli/templates/trainer.txt",
    ):
        assert name in names


def test_every_package_of_the_repository_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("fal_bench", "strategies", "environments"):
        target = folder if folder == "fal_bench" else f"fal_bench/{folder}"
        for file in (REPOSITORY / folder).rglob("*.py"):
            inside = file.relative_to(REPOSITORY / folder).as_posix()
            assert f"{target}/{inside}" in names


def test_it_runs_outside_the_repository(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()
    )  # fmt: skip
    zipfile.ZipFile(wheel).extractall(site)
    # The dependencies come from this environment; its editable falbench is not on a .pth path.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(code):
        return subprocess.run(
            [python, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
            check=True,
        ).stdout  # fmt: skip

    where = run("import fal_bench.strategies.logo as logo; print(logo.__file__)").strip()
    assert Path(where).is_relative_to(tmp_path)
    listed = run(
        "import sys; sys.argv = ['falbench', 'list', 'strategies']\n"
        "from fal_bench.cli import main; main()"
    )
    assert "fal-margin" in listed.split()
