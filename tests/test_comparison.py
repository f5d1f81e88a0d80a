"""The notebook's view of a comparison."""

import pandas as pd
import pytest

import fal_bench


@pytest.fixture
def result(suite, tmp_path):
    return fal_bench.compare(
        ["random", "logo[n_init=2]"],
        suite=suite,
        task="a",
        seeds=1,
        target_acc=0.3,
        out=tmp_path / "results",
        backend="sequential",
        progress=False,
    )


def test_it_holds_data_frames_and_shows_itself_as_the_table(result, tmp_path):
    assert isinstance(result.leaderboard, pd.DataFrame)
    assert isinstance(result.curves, pd.DataFrame)
    for shown in (str(result), repr(result), result._repr_html_()):
        assert "logo[n_init=2]" in shown  # and not taken for markup
        assert "random" in shown
    assert "30 % accuracy" in str(result)
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert "leaderboard.csv" not in names


def test_files_hold_what_the_frames_hold(result, tmp_path):
    result.write(tmp_path)
    board = pd.read_csv(tmp_path / "leaderboard.csv", dtype={"rank": "Int64"})
    pd.testing.assert_frame_equal(board, result.leaderboard, check_dtype=False)
    curves = pd.read_csv(tmp_path / "curves.csv")
    pd.testing.assert_frame_equal(curves, result.curves, check_exact=True)


def test_the_global_thread_settings_are_put_back(suite, tmp_path):
    import torch

    torch.set_num_threads(2)
    fal_bench.compare(
        ["random"], suite=suite, task="a", seeds=1, out=tmp_path, backend="sequential",
        progress=False,
    )  # fmt: skip
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("options", [{"target_acc": 1.5}, {"accounting": "honest"}, {"seeds": 0}])
def test_wrong_questions_are_refused_before_anything_is_written(options, tmp_path):
    with pytest.raises(fal_bench.FalbenchError):
        fal_bench.compare(["random"], out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
