"""``falbench new``: what is written works as it is."""

import ast
import re
import subprocess
import sys

import pandas as pd
import pytest
import torch

from fal_bench.errors import InvalidSpecError
from fal_bench.registry import Registry
from fal_bench.selector import Selector
from fal_bench.trainer import LocalBatch

STRATEGIES = {"my-idea": [], "my-saver": ["--adaptive"], "my-server-2": ["--coordinated"]}
WRITTEN = {
    **{name: ("strategy", name, *options) for name, options in STRATEGIES.items()},
    "my-loss": ("trainer", "my-loss"),
}


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
    for name, arguments in WRITTEN.items():
        code, out, _ = falbench("new", *arguments)
        assert code == 0
        module = name.replace("-", "_")
        asked = name if name in STRATEGIES else f'"random[trainer={name}]"'
        first, *commands = out.splitlines()
        assert first == f"Wrote {module}.py and test_{module}.py. Next:"
        assert commands == [
            f"  falbench check {module}.py",
            f"  falbench compare --plugin {module}.py -s {asked} -s random --suite smoke",
        ]
        assert lines_of_code((tmp_path / f"{module}.py").read_text()) <= 25
    code, out, err = falbench("check", ".")
    assert code == 0, out + err
    assert re.findall(r"^(\S+) passes: ", out, re.MULTILINE) == list(WRITTEN)
    assert "survive JSON (unsure)" in out.partition("my-saver [")[2]
    assert "bytes of messages" in out.partition("my-server-2 [")[2]
    assert "survive JSON (smoothing)" in out.partition("my-loss [")[2]
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "4 passed" in tests.stdout, tests.stdout
    asked = {*STRATEGIES, "random", "random[trainer=my-loss]"}
    code, _, err = falbench(
        "compare", "--plugin", ".", *(f"-s{one}" for one in sorted(asked)),
        "--suite", suite, "--task", "a", "--seeds", 1, "--backend", "sequential",
    )  # fmt: skip
    assert (code, "Note" in err) == (0, False), err
    board = pd.read_csv(tmp_path / "results" / "leaderboard.csv")
    assert set(board.strategy) == asked
    assert board["rank"].notna().all()


def test_the_loss_of_a_new_trainer_is_the_one_that_its_docstring_names(falbench, tmp_path):
    falbench("new", "trainer", "my-loss")
    table = Registry.discover([tmp_path]).trainers
    logits, labels = torch.randn(3, 6, 5), torch.arange(18).reshape(3, 6) % 5
    batch = LocalBatch(labels, torch.ones(3, 5), torch.zeros(3))
    for weight, params in ((0.1, {}), (0.0, {"smoothing": 0}), (0.4, {"smoothing": 0.4})):
        expected = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), label_smoothing=weight, reduction="none"
        )
        losses = table.make(Selector("my-loss", params)).losses(logits, batch)
        torch.testing.assert_close(losses.flatten(), expected)
    with pytest.raises(InvalidSpecError, match="'smoothing' cannot be 1"):
        table.make(Selector("my-loss", {"smoothing": 1}))


@pytest.mark.parametrize("kind", ["strategy", "trainer"])
def test_a_file_is_never_overwritten(falbench, tmp_path, kind):
    (tmp_path / "plugins").mkdir()
    for name in ("my_idea.py", "test_my_idea.py"):
        file = tmp_path / "plugins" / name
        file.write_text("mine")
        code, _, err = falbench("new", kind, "my-idea", "--out", "plugins")
        assert code == 2
        assert f"'plugins/{name}' exists and is not overwritten" in err
        assert [one.read_text() for one in (tmp_path / "plugins").iterdir()] == ["mine"]
        file.unlink()


@pytest.mark.parametrize("kind", ["strategy", "trainer"])
def test_the_folder_is_made_and_named_in_the_commands(falbench, tmp_path, kind):
    code, out, _ = falbench("new", kind, "my-idea", "--out", "my plugins")
    assert code == 0
    assert (tmp_path / "my plugins" / "my_idea.py").exists()
    assert "falbench check 'my plugins/my_idea.py'" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["strategy", "My-Idea"], "'My-Idea' cannot be a strategy's name; use words in lower case"),
        (["strategy", "my_idea"], "cannot be a strategy's name"),
        (["strategy", "my-"], "cannot be a strategy's name"),
        (
            ["strategy", "random"],
            "There is a strategy 'random' already (fal_bench.strategies.random:Random)",
        ),
        (["strategy", "torch"], "A file torch.py with a class Torch would hide"),
        (["strategy", "class"], "choose another name"),
        (["strategy", "strategy"], "a class Strategy would hide"),
        (
            ["strategy", "my-idea", "--adaptive", "--coordinated"],
            "either --adaptive or --coordinated",
        ),
        (["trainer", "my_loss"], "'my_loss' cannot be a trainer's name; use words in lower case"),
        (["trainer", "kcfu"], "There is a trainer 'kcfu' already (fal_bench.trainers.kcfu:Kcfu)"),
        (["trainer", "torch"], "A file torch.py with a class Torch would hide"),
    ],
)
def test_wrong_use_is_one_sentence_and_writes_nothing(falbench, tmp_path, arguments, message):
    code, out, err = falbench("new", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
