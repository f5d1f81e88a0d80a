"""The notebook's view of a comparison."""

import pandas as pd
import pytest

import fal_bench
from fal_bench.reporting.facts import TrainersDiffer


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
    exact = dict.fromkeys(result.curves.select_dtypes("float"), float)
    curves = pd.read_csv(tmp_path / "curves.csv", converters=exact)
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


def test_trainers_and_grids_are_rows_of_their_own(suite, tmp_path):
    names = ["random,random[trainer=kcfu,evidential]", "random[trainer=cross-entropy]"]
    options = {"suite": suite, "task": "a", "seeds": 1, "target_acc": 0.2, "progress": False}
    result = fal_bench.compare(names, out=tmp_path, backend="sequential", **options)
    trainers = result.leaderboard.set_index("strategy")["trainer"].to_dict()
    assert trainers == {
        "random": "cross-entropy",
        "random[trainer=kcfu]": "kcfu",
        "random[trainer=evidential]": "evidential",
    }
    first = result.curves[result.curves["cycle"] == 0]
    assert first["loss"].nunique() == 3
    # Selections come from the same streams, whatever the trainer.
    assert result.curves.groupby("cycle")["labels_by_client"].nunique().eq(1).all()
    differ = TrainersDiffer(("cross-entropy", "evidential", "kcfu"))
    (facts,) = [board.facts for board in result.boards]
    assert differ in facts.verdict
    assert differ in facts.findings


def test_all_stands_for_every_strategy_that_suits_the_tasks(tmp_path):
    from fal_bench.plugins.registry import Registry
    from fal_bench.sweep.plan import Plan

    plan = Plan.make("all", suite="quick", seeds=1)
    left_out = [note.partition(" is left out")[0] for note in plan.notes]
    names = {str(run.strategy) for run in plan.runs}
    assert sorted([*names, *left_out]) == Registry.discover().names()
    assert {"random", "fedral"} <= names
    (tmp_path / "bare.toml").write_text("seeds = 1\n[tasks.a]\n")
    bare = Plan.make(["all", "logo[n_init=2]"], suite=str(tmp_path / "bare.toml"))
    assert "logo[n_init=2]" in bare.strategies
    assert "fedral" not in bare.strategies
    assert any(note.startswith("fedral ") for note in bare.notes)


GREEDY = """
from fal_bench import Strategy
from fal_bench.errors import InvalidSpecError

class Greedy(Strategy):
    name = "greedy"

    def check_shares(self, task, sizes):
        assert sizes["classes"] == 10
        raise InvalidSpecError(
            f"Strategy 'greedy' finds {sizes['pool']} samples too few for {sizes['embedding']}."
        )
"""


def test_all_leaves_out_what_refuses_the_clients_shares(suite, tmp_path, monkeypatch):
    monkeypatch.setattr("fal_bench.plugins.registry.Registry.names", lambda _: ["greedy", "random"])
    (tmp_path / "greedy.py").write_text(GREEDY)
    notes = []
    options = {
        "suite": suite, "task": "a", "seeds": 1, "target_acc": 0.2, "progress": False,
        "plugins": tmp_path / "greedy.py", "out": tmp_path / "out", "backend": "sequential",
        "notify": lambda _, sentence: notes.append(sentence),
    }  # fmt: skip
    result = fal_bench.compare("all", **options)
    assert result.leaderboard["strategy"].tolist() == ["random"]
    assert any("greedy" in one and "samples too few for 8" in one for one in notes)
    assert len(notes) == len(set(notes))
    assert "greedy " not in result.boards[0].context.command
    for named in ("greedy", ["greedy", "all"]):
        with pytest.raises(fal_bench.FalbenchError, match="'greedy' finds"):
            fal_bench.compare(named, **options)


def test_no_strategy_at_all_is_refused(tmp_path):
    with pytest.raises(fal_bench.FalbenchError, match="at least one"):
        fal_bench.compare([], suite="smoke", out=tmp_path / "out")


PLUGIN = """
from fal_bench import Strategy
from fal_bench.plugins.trainer import Trainer

class Smoothed(Trainer):
    name = "smoothed"

    def losses(self, logits, batch):
        log_probs = logits.log_softmax(-1)
        true = log_probs.gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)
        return -0.9 * true - 0.1 * log_probs.mean(-1)

class Mine(Strategy):
    name = "mine"
    trainer = "smoothed"

    def select(self, client, budget):
        return client.rng.permutation(len(client.unlabelled))[:budget]
"""


def test_a_plugin_file_may_bring_its_trainer(suite, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(PLUGIN)
    monkeypatch.setenv("FALBENCH_PLUGINS", str(tmp_path / "mine.py"))
    options = {"suite": suite, "task": "a", "seeds": 1, "target_acc": 0.2, "progress": False}

    def compare():
        return fal_bench.compare("mine", out=tmp_path / "out", backend="sequential", **options)

    assert compare().leaderboard["strategy"].tolist() == ["mine[trainer=smoothed]"]
    runs = sorted((tmp_path / "out" / "runs").iterdir())
    compare()
    assert sorted((tmp_path / "out" / "runs").iterdir()) == runs  # nothing was edited
    (tmp_path / "mine.py").write_text(PLUGIN.replace("0.9", "0.8"))
    compare()
    assert len(sorted((tmp_path / "out" / "runs").iterdir())) == 2 * len(runs)
