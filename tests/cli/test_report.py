"""``falbench report`` and ``falbench figure``: what they print, and what they write."""

import json
import signal
import sys

import pytest
from stored import spec, store_run

from fal_bench.cli.output import begin

SEEDS = range(6)


@pytest.fixture
def folder(tmp_path):
    """Six runs of two strategies, of which the second one needs fewer labels."""
    for seed in SEEDS:
        store_run(tmp_path / "results", spec(seed=seed))
        store_run(
            tmp_path / "results",
            spec("logo[n_init=4]", seed=seed),
            accuracies=[0.3, 0.4, 0.5, 0.6, 0.7],
        )
    return tmp_path / "results"


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("leaderboard.*")}


def test_a_report_of_a_part_writes_nothing_unless_told_where(falbench, folder):
    assert falbench("report")[0] == 0
    whole = files(folder)
    assert len(whole) == 2
    for part in (["-s", "random"], ["--seeds", 5], ["--task", "unknown"]):
        falbench("report", *part)
        assert files(folder) == whole
    code, out, _ = falbench("report", "-s", "random", "--to", "part", "--format", "csv")
    assert code == 0
    assert files(folder) == whole
    assert (folder.parent / "part" / "leaderboard.csv").read_text() == out


def test_rows_are_not_wrapped_in_a_pipe(falbench, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    _, out, _ = falbench("report", "--target", 0.35)
    (row,) = [line for line in out.splitlines() if "logo[n_init=4]" in line and "[" in line][:1]
    assert "better" in row
    assert all(line == line.rstrip() or len(line) < 500 for line in out.splitlines())


def test_notes_are_few_unless_all_are_asked_for(falbench, folder):
    few, every = (falbench("report", *more)[1] for more in ([], ["--explain"]))
    assert "Resolution:" not in few
    assert "--explain" in few
    assert "Resolution:" in every
    below = few[few.index("baseline") :].splitlines()[1:]
    assert len([line for line in below if not line.startswith("Wrote")]) <= 4


def test_a_target_without_a_name_is_an_accuracy(falbench, folder):
    asked = [
        json.loads(falbench("report", option, "0.3,auto", "--format", "json")[1])
        for option in ("--target", "--target-acc")
    ]
    assert asked[0] == asked[1]
    assert asked[0][0]["question"]["target_acc"] == 0.3


@pytest.mark.parametrize("kind", ["savings", "curves", "ladder"])
def test_a_figure_is_written_where_it_is_asked_for(falbench, folder, kind):
    code, out, err = falbench("figure", "results", kind, "--to", "fig.pdf", "--width", "column")
    assert code == 0, err
    assert "fig.pdf" in out
    assert (folder.parent / "fig.pdf").read_bytes().startswith(b"%PDF")


def test_a_figure_that_cannot_be_written_is_refused(falbench, folder):
    code, _, err = falbench("figure", "nowhere", "curves", "--to", "fig.jpg")
    assert (code, err.count("\n")) == (2, 1)
    assert "fig.jpg" in err  # before anything is read
    code, _, err = falbench("figure", "results", "curves", "--to", "no/such/fig.pdf")
    assert (code, err.count("\n")) == (2, 1)
    assert not (folder.parent / "no").exists()


def test_what_takes_seconds_to_load_is_announced(monkeypatch, capsys):
    begin("Reading results")
    assert capsys.readouterr() == ("", "")
    monkeypatch.delitem(sys.modules, "torch")
    begin("Reading results")
    out, err = capsys.readouterr()
    assert out == ""
    assert "Reading results" in err


@pytest.mark.parametrize(("stopped", "ends"), [(True, 130), (False, None)])
def test_ctrl_c_that_a_library_turns_into_an_error_of_its_own_ends_in_130(
    falbench, monkeypatch, request, stopped, ends
):
    def importing(obj):
        try:
            if stopped:
                signal.raise_signal(signal.SIGINT)
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ValueError("no schema") from None

    monkeypatch.setattr(sys.modules["fal_bench.cli.main"], "app", importing)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs of a shell ignore it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    if ends is None:
        with pytest.raises(ValueError, match="no schema"):
            falbench("report")
    else:
        code, _, err = falbench("report")
        assert (code, err) == (ends, "Stopped.\n")


def test_in_a_pipe_no_line_is_padded_or_wrapped(falbench, folder):
    for command in (["report"], ["status"], ["compare", "--dry-run", "-s", "random"]):
        lines = falbench(*command)[1].splitlines()
        assert len(lines) > 2
        assert [line for line in lines if line != line.rstrip() or len(line) > 400] == []
