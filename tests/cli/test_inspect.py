"""``falbench inspect`` on the command line."""

import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (["digit-iid"], "digit-iid"),
        (["nowhere.toml"], "nowhere.toml"),
        (["a", "--suite", "smoke"], "'a'"),
        (["smoke", "--seeds", "1"], "--seeds"),
        (["smoke", "--seeds", "1000000000"], "seeds"),
        (["smoke", "--plugin", "nowhere.py"], "nowhere.py"),
    ],
)
def test_what_is_wrong_is_named(falbench, tmp_path, arguments, culprit):
    code, out, err = falbench("inspect", *arguments)
    assert (code, out) == (2, "")
    assert culprit in err
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_torch(falbench, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torch"]:
        monkeypatch.setitem(sys.modules, name, None)
    code, out, _ = falbench("inspect", "--help")
    assert code == 0
    assert "TASK_OR_SUITE" in out
