"""What the README and the first guides show works as it is written."""

import itertools
import shlex
from pathlib import Path

import numpy as np
import pytest
from stored import spec, store_run
from untimed import untimed

import fal_bench
from fal_bench.plugins.registry import Registry
from fal_bench.publication.verification import draw_runs, runs_here
from fal_bench.results.record import read_record
from fal_bench.task.suite import load_suite

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GUIDES = [ROOT / "docs" / f"{name}.md" for name in ("first-comparison", "your-strategy", "paper")]


def blocks(language, *pages):
    # Fences come in pairs, so every second piece is inside of one.
    texts = [page.read_text() for page in pages or (README, *GUIDES)]
    pieces = [piece.partition("\n")[::2] for text in texts for piece in text.split("```")[1::2]]
    return [text for own, text in pieces if own == language]


def test_there_are_two_set_up_commands():
    install, test = [block.strip() for block in blocks("", README) if "pip install" in block]
    assert install == "pip install . && falbench compare"
    assert test == "pip install tox && tox"


def test_it_fits_on_a_screen_and_says_what_the_published_board_says():
    assert len(README.read_text().splitlines()) < 60
    [board] = fal_bench.report(ROOT / "results" / "published" / "standard").boards
    assert board.verdict[0] in README.read_text()


def test_the_plugin_runs(tmp_path, compare):
    [plugin] = [block for block in blocks("python") if "class MyMargin" in block]
    (tmp_path / "my_margin.py").write_text(plugin)
    options = {"task": "a", "seeds": 1, "backend": "sequential"}
    result = compare(["my-margin", "fal-margin"], plugins=[tmp_path / "my_margin.py"], **options)
    curves = untimed(result).drop(columns="strategy")
    mine = curves[result.curves.strategy == "my-margin"].reset_index(drop=True)
    theirs = curves[result.curves.strategy == "fal-margin"].reset_index(drop=True)
    assert mine.equals(theirs)


def test_the_suite_loads(tmp_path):
    [suite] = blocks("toml")
    (tmp_path / "mine.toml").write_text(suite)
    own, shared = load_suite(str(tmp_path / "mine.toml")).tasks
    assert (own.name, shared.name) == ("my-task", "digits-iid")


COMMANDS = [
    line.partition("#")[0].strip()
    for block in blocks("")
    for line in block.splitlines()
    if line.startswith("falbench ") and "my_margin" not in line
]


def published(argument):
    """Return the real place of published results; other arguments as they are."""
    folder = ROOT / argument
    return str(folder) if argument.startswith("results/published/") else argument


def seed_of_a_short_sample(folder):
    """Return a seed with which ``falbench verify --runs 1`` computes a run of ``random``."""
    known = runs_here(read_record(Path(folder)), fal_bench.load(folder), Registry.discover())
    drawn = (draw_runs(known, 1, np.random.default_rng(seed)) for seed in itertools.count())
    return next(seed for seed, [run] in enumerate(drawn) if run.label == "random")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(falbench, command, tmp_path):
    """Commands that would compute are asked for a dry run instead."""
    arguments = shlex.split(command)[1:]
    if arguments[0] in ("import", "report", "verify", "figure"):
        arguments = [published(argument) for argument in arguments]
    for folder in ("results", "laptop", "server") if arguments[0] in ("report", "merge") else ():
        store_run(tmp_path / folder, spec(seed=len(folder)))
    if arguments[0] == "import":
        curves = "task,strategy,seed,labels,accuracy\nmy-task,theirs,0,100,0.5\n"
        (tmp_path / "curves.csv").write_text(curves)
    if arguments[0] in ("import", "inspect"):
        [suite] = blocks("toml")
        (tmp_path / "mine.toml").write_text(suite)
    if arguments[0] == "publish":
        for task in load_suite("quick").tasks:
            store_run(tmp_path / "results", spec(task=task))
    if arguments[0] in ("compare", "inspect") and "--dry-run" not in arguments:
        arguments.append("--dry-run")
    if arguments[0] in ("compare", "inspect"):
        arguments += ["--backend", "sequential"]  # so that no worker is started for a guess
    if arguments[0] == "verify":
        arguments += ["--runs", 1, "--seed", seed_of_a_short_sample(arguments[1])]
    code, out, errors = falbench(*arguments)
    # Where published results were computed elsewhere, bits may differ, and verify says so. Those of
    # an older numerics version are checked, and not computed.
    if arguments[0] == "verify" and code == 2:
        assert "numerics version" in errors
        return
    assert code in ((0, 3) if arguments[0] == "verify" else (0,)), out + errors
