"""Every code block of the page that takes a newcomer to a leaderboard row is run."""

import re
import shlex
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from fal_bench import check_strategy
from fal_bench.plugins.built_in import STRATEGY
from fal_bench.plugins.registry import Registry

PAGE = (Path(__file__).parent.parent / "docs" / "writing-a-strategy.md").read_text()
# Fences come in pairs, so every second piece is inside of one.
BLOCKS = [piece.partition("\n")[::2] for piece in PAGE.split("```")[1::2]]
FILES = {
    text.splitlines()[0].removeprefix("# "): text
    for language, text in BLOCKS
    if language == "python"
}
SUITES = {
    text.splitlines()[0].removeprefix("# "): text
    for language, text in BLOCKS
    if language == "toml" and text.startswith("# ")
}
COMMANDS = [line for language, text in BLOCKS if not language for line in text.splitlines()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's files, but for the one that a command of the page writes."""
    monkeypatch.chdir(tmp_path)
    for name, text in {**FILES, **SUITES}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_block_names_its_file():
    assert all(re.fullmatch(r"[a-z_]+\.py", name) for name in FILES)
    assert len(FILES) == PAGE.count("```python")


STRATEGIES = [name for name, text in FILES.items() if "(Strategy):" in text]


@pytest.mark.parametrize("name", STRATEGIES)
def test_its_strategies_keep_the_contract(name, folder):
    registry = Registry.discover([folder / name])
    [strategy] = [key for key, source in registry.sources.items() if source == str(folder / name)]
    assert check_strategy(registry.load(strategy)).passed


def test_its_test_passes(folder, run_tests):
    assert run_tests(folder) == 1


def test_its_commands_work_in_the_order_of_the_page(folder, falbench, suite):
    """On a smaller suite than the page's, and without workers, which other tests have."""
    for name in ("my_idea.py", "test_my_idea.py"):
        (folder / name).unlink()
    written = False
    for command in COMMANDS:
        arguments = [suite if one == "smoke" else one for one in shlex.split(command)[1:]]
        if arguments[0] == "compare":
            arguments += ["--seeds", "1", "--backend", "sequential"]
            arguments += ["--task", "a"] * (suite in arguments)
        code, out, err = falbench(*arguments)
        assert code == 0, f"{command}\n{out}\n{err}"
        written |= (folder / "my_idea.py").exists() and (folder / "test_my_idea.py").exists()
        if arguments[0] == "compare":
            curves = pd.read_csv(folder / "results" / "curves.csv")
            smoothing = "random[trainer=label-smoothing]"
            assert ("label-smoothing" in command) == (smoothing in set(curves.strategy))
            assert ("two_likeliest.py" in command) == ("two_likeliest" in curves)
    assert written


def test_its_entry_point_is_the_one_that_is_searched():
    [block] = [text for language, text in BLOCKS if language == "toml" and text[0] == "["]
    assert list(tomllib.loads(block)["project"]["entry-points"]) == [STRATEGY.package]
