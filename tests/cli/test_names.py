"""Names of files that no table could show, and arguments of absurd sizes: one sentence each."""

import os

import pytest

from fal_bench.cli.main import _in_words

NOT_UTF_8 = os.fsdecode(b"se\xf1al")


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "--out", NOT_UTF_8),
        ("status", "--suite", f"{NOT_UTF_8}.toml"),
        ("status", "--plugin", f"{NOT_UTF_8}.py"),
        ("status", "--data-dir", NOT_UTF_8),
        ("report", NOT_UTF_8),
        ("merge", NOT_UTF_8, "--out", "m"),
        ("merge", "r", "--out", NOT_UTF_8),
        ("import", f"{NOT_UTF_8}.csv"),
        ("publish", "r", "--to", NOT_UTF_8),
        ("verify", NOT_UTF_8),
        ("status", "-s", NOT_UTF_8),
        ("status", "--task", NOT_UTF_8),
        ("status", "-s", "random[trainer=" + "[" * 50_000 + "]"),
        ("status", "--seeds", "1000000000"),
        ("compare", "--call-timeout", "1e300"),
    ],
)
def test_one_sentence_and_exit_code_2(falbench, tmp_path, arguments):
    code, _, err = falbench(*arguments)
    assert code == 2
    assert err.count("\n") == 1
    assert len(err) < 1000
    assert os.listdir(tmp_path) == []


def test_a_plugin_folder_with_such_a_file(falbench, tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / f"{NOT_UTF_8}.py").write_text("")
    code, _, err = falbench("status", "--plugin", "plugins")
    assert (code, err.count("\n")) == (2, 1)
    assert "udcf1" in err


def test_names_that_come_up_late_are_named_in_a_sentence():
    try:
        (f"{'long ' * 1000}{NOT_UTF_8}{' text' * 1000}").encode()
    except UnicodeEncodeError as error:
        said = _in_words(error)
    assert "udcf1" in said
    assert len(said) < 200


def test_the_policy_of_a_late_seed_costs_no_more_than_that_of_an_early_one(falbench, tmp_path):
    shares = "{ state = 0.1, warm_start = 0.1, agent = 0.6, pool = 0.2 }"
    (tmp_path / "s.toml").write_text(f"[tasks.a]\nshares = {shares}\nclients = 2\nbudget_cap = 60")
    late = ("policy", "p.npz", "--suite", "s.toml", "--task", "a", "--seed", "1000000000")
    code, _, err = falbench(*late)
    assert (code, "seed 1000000000" in err) == (2, True)
    code, _, err = falbench(*late, "-s", "random,fal-margin")
    assert (code, "several" in err) == (2, True)
