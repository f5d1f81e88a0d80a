"""Every code block of the page on federated algorithms is run."""

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest

from fal_bench.plugins.registry import Registry

PAGE = (Path(__file__).parent.parent / "docs" / "your-algorithm.md").read_text()
BLOCKS = [piece.partition("\n")[::2] for piece in PAGE.split("```")[1::2]]
FILES = {text.splitlines()[0].removeprefix("# "): text for language, text in BLOCKS if language}
COMMANDS = [line for language, text in BLOCKS if not language for line in text.splitlines()]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_its_commands_work_in_the_order_of_the_page(folder, falbench):
    assert set(FILES) == {"federation.toml", "feddyn.py", "mine.toml"}
    for command in COMMANDS:
        arguments = shlex.split(command)[1:]
        if arguments[0] == "compare":
            arguments += ["--seeds", "1", "--backend", "sequential"]
        code, out, err = falbench(*arguments)
        assert code == 0, f"{command}\n{out}\n{err}"
    curves = pd.read_csv(folder / "results" / "curves.csv")
    assert set(curves.task) == {"feddyn"}  # the board of the last comparison
    runs = [
        json.loads(file.read_text())["description"]
        for file in (folder / "results" / "runs").glob("*/run.json")
    ]
    assert {run["task"]["aggregation"]["kind"]: run["aggregation"][:7] for run in runs} == {
        "fedprox": "version", "feddyn": "source ",
    }  # fmt: skip


def test_the_table_names_every_aggregation():
    named = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `fed")]
    named += [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `scaffold")]
    names = {name.strip(" `") for cell in named for name in cell.split(",")}
    assert names == set(Registry.discover().aggregations.names())
