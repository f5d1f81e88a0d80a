"""``falbench check``: real processes, some of which die or cannot be interrupted."""

import os
import re
import subprocess
import sys

import pytest

from fal_bench.conformance import process
from fal_bench.conformance.runner import SUBJECTS
from fal_bench.isolation import child

PLUGIN = """
import os, re, time
import numpy as np
from fal_bench import Strategy

class First(Strategy):
    name = "first"

    def select(self, client, budget):
        print("hello from the plugin")
        return np.arange(budget)

class Second(Strategy):
    name = "second"

    def select(self, client, budget):
        {deed}
        return np.arange(budget)

class Third(First):
    name = "third"
"""


@pytest.fixture
def plugin(tmp_path):
    def write(deed, name="mine.py"):
        (tmp_path / name).write_text(PLUGIN.format(deed=deed))
        return name

    return write


def test_a_strategy_that_passes_ends_in_0(falbench):
    before = os.times()
    code, out, _ = falbench("check", "fal-margin", "margin-fixed-batch[size=2]")
    assert code == 0
    after = os.times()
    assert after.children_user - before.children_user < 15
    lines = out.splitlines()
    assert lines[0].startswith("fal-margin [")
    assert sum(line.startswith("ok ") for line in lines) > 2 * 15
    first, second = out.split("\nmargin-fixed-batch[size=2] [")
    assert "36 samples" in first
    assert "18 samples" in second
    assert "fal-margin passes: " in out
    assert "FAILED" not in out


def test_a_failure_ends_in_1_with_what_where_and_what_to_do(falbench, plugin):
    file = plugin("budget -= client.cycle")
    code, out, err = falbench("check", file, "--only", "positions", "--only", "returns")
    assert code == 1
    assert "first passes" in out
    assert "third passes" in out
    assert "FAILED         positions" in out
    assert "4 positions, not 3" in out
    assert "cycle 1, budget 4, pool 76" in out
    assert "what to do" in out
    assert "hello from" not in out
    assert "hello from" in err


def test_plugins_that_hang_or_die_do_not_stop_the_next_one(falbench, tmp_path, plugin, monkeypatch):
    monkeypatch.setattr(child, "GRACE", 3.0)
    deeds = {
        "ending": "print('last words'); os._exit(7)",
        "hanging": "time.sleep(60)",
        "holding": "re.match('(a+)+b', 'a' * 60)",  # holds the interpreter's lock for ages
    }
    text = (tmp_path / plugin("pass")).read_text()
    classes = "".join(
        f"class {name}(First):\n    name = '{name}'\n"
        f"    def select(self, client, budget):\n        {deed}\n"
        for name, deed in deeds.items()
    )
    (tmp_path / "all.py").write_text(text.replace("class Third", f"{classes}\nclass Third"))
    code, out, err = falbench(
        "check", "all.py", "--call-timeout", 1, "--only", "returns", "--only", "memory"
    )
    assert code == 1
    assert "last words" in err
    assert "last words" not in out
    assert "exit code 7" in out
    assert re.search(r"line \d+: .*sleep", out)
    assert "not be interrupted" in out
    assert out.count("FAILED         returns") == 3
    assert out.count("1 FAILED, 1 not checked") == 3
    for name in ("first", "second", "third"):
        assert f"\n{name} passes: 2 ok" in out


def test_a_plugin_that_fills_the_memory_is_stopped(falbench, plugin, monkeypatch):
    monkeypatch.setattr(process, "default_limit", lambda workers: 1000)
    file = plugin("kept = [np.ones(2**22) for _ in iter(int, 1)]")
    code, out, _ = falbench("check", file, "--only", "positions")
    assert code == 1
    assert re.search(r"took \d{4} MiB", out)
    assert "third passes" in out


OTHERS = """
import math, os
import numpy as np
import fal_bench
from fal_bench.trainers.cross_entropy import CrossEntropy
from torch import nn

class Exiting(CrossEntropy):
    name = "exiting"

    def probs(self, logits):
        os._exit(7)

class Good(CrossEntropy):
    name = "good"

class Wrong(CrossEntropy):
    name = "wrong"

    def losses(self, logits, batch):
        return super().losses(logits, batch).mean()

@fal_bench.model
def my_net(input_shape, n_classes, *, width: int = 8):
    net = nn.Module()
    net.body = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), width), nn.ReLU())
    net.head = nn.Linear(width, n_classes)
    net.forward = lambda samples: net.head(net.body(samples))
    return net

@fal_bench.dataset
def my_photos():
    raise FileNotFoundError("photos.zip")

@fal_bench.metric
def errors(labels, probs):
    return np.mean(probs.argmax(axis=1) != labels)
"""


def passing(out):
    return re.findall(r"^(\S+) passes: ", out, re.MULTILINE)


def test_every_kind_is_checked_by_name(falbench):
    names = ["kcfu[divergence=sum]", "evidential", "cnn4[width=3]", "digits", "auroc"]
    code, out, _ = falbench("check", *names)
    assert code == 0
    assert out.startswith(f"{names[0]} [fal_bench.trainers")
    assert passing(out) == names
    code, out, _ = falbench("check", "random", "kcfu", "fal-margin", "--only", "lanes")
    assert code == 0
    assert passing(out) == ["kcfu"]


def test_every_kind_is_checked_by_file(falbench, tmp_path):
    (tmp_path / "others.py").write_text(OTHERS)
    code, out, _ = falbench("check", "others.py")
    assert code == 1
    assert {"good", "errors"} <= {*passing(out)} <= {"good", "errors", "my-net"}
    assert "FAILED         losses" in out
    assert "shape (8,)" in out
    assert "exit code 7" in out
    assert re.search(r"FileNotFoundError: .*others\.py", out)
    code, out, _ = falbench("check", "others.py", "--only", "value", "--only", "builds")
    assert code == 0
    assert out.count(" passes: 1 ok") == 2


def test_a_broken_file_of_a_folder_does_not_stop_the_others(falbench, tmp_path, plugin):
    (tmp_path / "folder").mkdir()
    plugin("pass", "folder/mine.py")
    (tmp_path / "folder" / "helper.py").write_text("x = 1\n")
    arguments = ("check", "folder", "--only", "returns")
    code, out, _ = falbench(*arguments)
    assert code == 0
    assert "helper.py cannot" in out
    (tmp_path / "folder" / "broken.py").write_text("import os\n\nos.nothing()\n")
    code, out, _ = falbench(*arguments)
    assert code == 1
    assert re.search(r"AttributeError: .*broken.*line 3", out)
    for name in ("first", "second", "third"):
        assert f"\n{name} passes: 1 ok" in out


def test_only_some_checks_and_their_list(falbench):
    code, out, _ = falbench("check", "random", "--only", "positions", "--only", "task")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if line.startswith("ok")] == [
        "task",
        "positions",
    ]
    code, out, _ = falbench("check", "--list")
    assert code == 0
    names = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert names == [check.name for subject in SUBJECTS for check in subject.checks]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["randm"], "Unknown plugin 'randm'; did you mean 'random'?"),
        (["none.py"], "There is no plugin file or folder 'none.py'; check the path."),
        (["broken.py"], "broken.py cannot be loaded (SyntaxError"),
        (["leaving.py"], "The process ended with exit code 3"),
        (["empty"], "There is no plugin in 'empty'; name a file that defines one."),
        (["random", "--only", "positons"], "Unknown check 'positons'; did you mean 'positions'?"),
        (["margin-fixed-batch[size=0]"], "parameter 'size' cannot be 0"),
        (["random", "--only", "lanes"], "No check that --only names is one of these plugins'"),
        ([], "Name a plugin or a plugin file, or use --list."),
    ],
)
def test_wrong_use_is_one_sentence_and_ends_in_2(falbench, tmp_path, arguments, message):
    (tmp_path / "broken.py").write_text("def oops(:\n")
    (tmp_path / "leaving.py").write_text("import os; os._exit(3)\n")
    (tmp_path / "empty").mkdir()
    code, out, err = falbench("check", *arguments)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert out == ""


def test_the_process_that_waits_does_not_import_torch():
    code = "import fal_bench.conformance.process, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"torch", "sklearn", "numpy"} & set(result.stdout.split())
