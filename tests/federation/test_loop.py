"""The harness, driven by small strategies on a real (tiny) federation."""

import numpy as np
import pytest
import torch

from fal_bench.acquisition.scores import smallest, top_two_margin
from fal_bench.errors import DivergedError, PluginError
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.loop import FederatedTraining, simulate
from fal_bench.federation.setting import Setting
from fal_bench.federation.state import RunState
from fal_bench.learning.engine import train
from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.needs import DistilledModel, EpochPredictions, LocalModel, LocalTraining
from fal_bench.plugins.strategy import Strategy, Train
from fal_bench.strategies.random import Random
from fal_bench.trainers.cross_entropy import CROSS_ENTROPY, CrossEntropy
from fal_bench.trainers.evidential import Evidential
from fal_bench.trainers.kcfu import Kcfu

TIMES = ("train_seconds", "select_seconds")


class First(Strategy):
    name = "first"

    def select(self, client, budget):
        return np.arange(budget)


class Margin(Strategy):
    name = "margin"

    def select(self, client, budget):
        return smallest(top_two_margin(client.probs(client.global_model)), budget)


def untimed(rows):
    return [{k: v for k, v in vars(row).items() if k not in TIMES} for row in rows]


def change(task, **fields):
    return type(task).model_validate({**task.model_dump(), **fields})


def test_a_fixed_size_strategy_is_trained_at_every_grid_point_and_once_beyond(tiny, blobs, run):
    journal = run(tiny, First, blobs)
    assert [row.labels for row in journal.rows] == [12, 18, 24, 30]
    assert [row.labels_strict for row in journal.rows] == [12, 18, 24, 30]
    assert [row.cycle for row in journal.rows] == [0, 1, 2, 3]
    assert journal.rows[1].labels_by_client == "6 6 6"
    assert len(journal.charges) == 30
    assert {purpose for _, _, purpose, _ in journal.charges} == {"initial", "pool"}


def test_the_federation_learns(tiny, blobs, run):
    task = change(tiny, rounds=10, local_epochs=5, batch_size=4)
    rows = run(task, Random, blobs).rows
    assert rows[-1].metrics["accuracy"] > 0.9
    assert rows[-1].metrics["loss"] < rows[0].metrics["loss"]


def test_strategies_of_one_seed_are_paired_bit_for_bit(tiny, blobs, run):
    first, margin = run(tiny, First, blobs), run(tiny, Margin, blobs)
    assert untimed(first.rows[:1]) == untimed(margin.rows[:1])
    assert first.charges[:12] == margin.charges[:12]
    assert untimed(first.rows[1:]) != untimed(margin.rows[1:])


def test_runs_repeat_bit_for_bit_and_seeds_differ(tiny, blobs, run):
    assert untimed(run(tiny, Margin, blobs).rows) == untimed(run(tiny, Margin, blobs).rows)
    assert untimed(run(tiny, Margin, blobs, seed=1).rows) != untimed(run(tiny, Margin, blobs).rows)


@pytest.mark.parametrize("reset", ["scratch", "continue"])
def test_a_resumed_run_equals_an_uninterrupted_one(tiny, blobs, run, reset):
    class Remembering(Strategy):
        name = "remembering"

        def select(self, client, budget):
            seen = client.memory.setdefault("seen", np.zeros(0, dtype=int))
            client.memory["seen"] = np.append(seen, client.cycle)
            client.memory.setdefault("pair", (1, 2))
            order = client.rng.permutation(len(client.unlabelled))
            return order[len(client.memory["seen"]) + len(client.memory["pair"]) :][:budget]

    class Resumed(MemoryJournal):
        def resume(self):
            return RunState.from_arrays(whole.states[1].to_arrays())

    task = change(tiny, reset=reset)
    whole = run(task, Remembering, blobs)
    rest = run(task, Remembering, blobs, journal=Resumed())
    assert untimed(rest.rows) == untimed(whole.rows[2:])
    assert rest.charges == whole.charges
    assert whole.states[-1].memories[0]["seen"].tolist() == [0, 1, 2]


def test_reset_decides_whether_a_cycle_starts_from_the_last_model(tiny, blobs, run):
    frozen = change(tiny, optimiser={"lr": 1e-12})  # so that a model stays what it started as
    scratch = run(frozen, First, blobs).rows
    kept = run(change(frozen, reset="continue"), First, blobs).rows
    assert len({row.metrics["loss"] for row in scratch}) == 4
    assert max(row.metrics["loss"] for row in kept) == pytest.approx(
        min(row.metrics["loss"] for row in kept)
    )


def test_bytes_are_models_times_clients_times_rounds_and_messages(tiny, blobs, run):
    class Talking(First):
        name = "talking"

        def select_all(self, federation):
            counts = federation.gather(lambda client: np.array([len(client.unlabelled)]))
            federation.broadcast(np.concatenate(counts))
            return federation.each(self.select)

    model_bytes = 4 * (4 * 8 + 8 + 8 * 4 + 4)
    quiet, talking = run(tiny, First, blobs).rows, run(tiny, Talking, blobs).rows
    assert {row.bytes_up for row in quiet} == {model_bytes * 3 * 2}
    assert [row.bytes_up - model_bytes * 6 for row in talking] == [0, 24, 24, 24]
    assert [row.bytes_down - model_bytes * 6 for row in talking] == [0, 72, 72, 72]
    assert [row.metrics["accuracy"] for row in talking] == [
        row.metrics["accuracy"] for row in quiet
    ]


@pytest.mark.parametrize("message", [{"a": 1}, None, [[1], [2, 3]], np.array([None])])
@pytest.mark.parametrize("way", ["gather", "broadcast"])
def test_messages_without_countable_bytes_are_refused(tiny, blobs, run, way, message):
    class Smuggling(First):
        name = "smuggling"

        def select_all(self, federation):
            if way == "gather":
                federation.gather(lambda client: message)
            else:
                federation.broadcast(message)

    with pytest.raises(PluginError, match=r"smuggling.*NumPy array"):
        run(tiny, Smuggling, blobs)


def test_the_figures_are_the_mean_of_the_last_rounds(tiny, blobs, run, monkeypatch):
    task = change(tiny, rounds=3, evaluation_rounds=2)
    seen = []
    real = FederatedTraining._evaluate

    def spy(self, model, data):
        seen.append(real(self, model, data))
        return seen[-1]

    monkeypatch.setattr(FederatedTraining, "_evaluate", spy)
    rows = run(task, First, blobs).rows
    assert len(seen) == 2 * len(rows)
    assert seen[0]["loss"] != seen[1]["loss"]
    for name, value in rows[0].metrics.items():
        assert value == pytest.approx((seen[0][name] + seen[1][name]) / 2)


class TestAdaptive:
    def test_what_is_left_stays_in_the_purse(self, tiny, blobs, run):
        class EverySecond(Strategy):
            name = "every-second"
            adaptive = True
            budgets = []

            def select(self, client, budget):
                self.budgets.append(budget)
                return np.arange(budget if client.cycle % 2 else 0)

        rows = run(tiny, EverySecond, blobs).rows
        assert [row.labels for row in rows] == [12, 12, 24, 24, 30]
        assert EverySecond.budgets[::3] == [2, 4, 2, 2]

    def test_a_strategy_that_buys_nothing_ends(self, tiny, blobs, run):
        class Miser(Strategy):
            name = "miser"
            adaptive = True

            def select(self, client, budget):
                return np.arange(0)

        rows = run(change(tiny, max_cycles=6), Miser, blobs).rows
        assert [row.labels for row in rows] == [12] * 6

    def test_no_more_than_the_cap_and_one_query_can_be_bought(self, tiny, blobs, run):
        class Greedy(Strategy):
            name = "greedy"
            adaptive = True

            def select(self, client, budget):
                return np.arange(budget if client.index else min(budget, 1))

        rows = run(change(tiny, max_cycles=30), Greedy, blobs).rows
        assert rows[-1].labels == 30
        assert rows[-1].labels_by_client == "10 10 10"


class TestInputs:
    def test_local_models_are_trained_on_the_clients_labels_alone(self, tiny, blobs, run):
        seen = {}

        class Local(First):
            name = "local"
            needs = frozenset(
                {LocalModel(LocalTraining(epochs=300, lr=0.05, stop_at_accuracy=1.0))}
            )

            def select(self, client, budget):
                predicted = client.probs(client.local_model, client.labelled).argmax(1)
                seen[client.cycle, client.index] = (predicted == client.labels).mean()
                assert client.local_model is not client.global_model
                return super().select(client, budget)

        run(tiny, Local, blobs)
        assert len(seen) == 9
        assert min(seen.values()) > 0.8

    def test_an_undeclared_local_model_is_refused(self, tiny, blobs, run):
        class Sneaky(First):
            name = "sneaky"

            def select(self, client, budget):
                client.probs(client.local_model)
                return super().select(client, budget)

        with pytest.raises(PluginError, match=r"sneaky.*cycle 0.*LocalModel\(\)"):
            run(tiny, Sneaky, blobs)

    def test_distilled_models_follow_the_global_model(self, tiny, blobs, run):
        """A distillation without labels learns what the teacher says, on the client's samples."""
        agreed = []

        class Distilled(First):
            name = "distilled"
            recipe = LocalTraining(
                epochs=400,
                batch_size=4,
                lr=0.1,
                stop_at_accuracy=None,
                trainer=Distillation({"weight": 1.0}),
            )
            needs = frozenset({DistilledModel(recipe)})

            def select(self, client, budget):
                taught = client.probs(client.distilled_model, client.labelled)
                teacher = client.probs(client.global_model, client.labelled)
                agreed.append(np.abs(taught - teacher).max())
                return super().select(client, budget)

        run(tiny, Distilled, blobs)
        assert max(agreed) < 0.1

    def test_a_learning_rate_may_be_a_share_of_the_tasks(self, tiny, blobs, run):
        heads = {}

        class Local(First):
            name = "local"

            def select(self, client, budget):
                heads[step, client.index, client.cycle] = client.local_model.weights["head.bias"]
                return super().select(client, budget)

        lr = tiny.optimiser.lr
        for step, recipe in {  # noqa: B007
            "given": LocalTraining(epochs=2, lr=0.3 * lr),
            "share": LocalTraining(epochs=2, lr_share=0.3),
            "other": LocalTraining(epochs=2, lr_share=0.5),
        }.items():
            Local.needs = frozenset({LocalModel(recipe)})
            run(tiny, Local, blobs)
        assert torch.equal(heads["given", 0, 0], heads["share", 0, 0])
        assert not torch.equal(heads["given", 0, 0], heads["other", 0, 0])

    def test_a_distilled_model_needs_a_distillation(self, tiny, blobs, run):
        class Wrong(First):
            name = "wrong"
            needs = frozenset({DistilledModel(LocalTraining(epochs=1))})

        with pytest.raises(PluginError, match=r"'wrong'.*Distillation"):
            run(tiny, Wrong, blobs)

    def test_epoch_predictions_end_at_the_previous_model(self, tiny, blobs, run):
        shapes = set()

        class Watching(First):
            name = "watching"
            needs = frozenset({EpochPredictions()})

            def select(self, client, budget):
                predictions = client.epoch_predictions
                shapes.add((len(predictions), predictions.shape[1] - len(client.unlabelled)))
                last = client.logits(client.previous_model).argmax(1)
                np.testing.assert_array_equal(predictions[-1], last)
                return super().select(client, budget)

        watched = run(change(tiny, local_epochs=3), Watching, blobs)
        assert shapes == {(3, 0)}
        plain = run(change(tiny, local_epochs=3), First, blobs)
        assert untimed(watched.rows) == untimed(plain.rows)

    @pytest.mark.parametrize(
        ("name", "need"),
        [("distilled_model", "DistilledModel"), ("epoch_predictions", "EpochPredictions")],
    )
    def test_other_undeclared_inputs_are_refused(self, tiny, blobs, run, name, need):
        class Sneaky(First):
            name = "sneaky"

            def select(self, client, budget):
                getattr(client, needed)
                return super().select(client, budget)

        needed = name
        with pytest.raises(PluginError, match=rf"{name} is not declared.*{need}\(\)"):
            run(tiny, Sneaky, blobs)

    def test_hindsight_is_for_references_and_free(self, tiny, blobs, run):
        class Peeking(First):
            name = "peeking"

            def select(self, client, budget):
                truth = blobs.train_labels.numpy()[client.unlabelled]
                np.testing.assert_array_equal(client.hindsight(), truth)
                return super().select(client, budget)

        with pytest.raises(PluginError, match="references alone"):
            run(tiny, Peeking, blobs)
        Peeking.reference = True
        rows = run(tiny, Peeking, blobs).rows
        assert [row.labels_strict for row in rows] == [12, 18, 24, 30]

    def test_the_average_of_the_previous_models_is_the_global_model(self, tiny, blobs, run):
        class Averaging(First):
            name = "averaging"

            def select_all(self, federation):
                sent = federation.gather(
                    lambda client: client.previous_model.weights["head.bias"].numpy()
                )
                final = federation.gather(
                    lambda client: client.global_model.weights["head.bias"].numpy()
                )
                np.testing.assert_allclose(np.mean(sent, axis=0), final[0], atol=1e-6)
                assert not np.array_equal(sent[0], sent[1])
                return federation.each(self.select)

        run(tiny, Averaging, blobs)

    def test_select_may_ask_for_trainings(self, tiny, blobs, run):
        recipe = LocalTraining(epochs=100, batch_size=4, lr=0.1, stop_at_accuracy=None)

        class Finetuning(Strategy):
            name = "finetuning"

            def select(self, client, budget):
                tuned = yield Train(recipe, client.global_model)
                fresh = yield Train(recipe)
                for model in (tuned, fresh):
                    predicted = client.probs(model, client.labelled).argmax(1)
                    assert (predicted == client.labels).mean() > 0.9
                same = torch.equal(tuned.weights["head.bias"], fresh.weights["head.bias"])
                assert not same
                return np.arange(budget)

        rows = run(tiny, Finetuning, blobs).rows
        assert len(rows) == 4
        assert rows[1].select_seconds > 0

    def test_bought_labels_are_charged_as_strict_only(self, tiny, blobs, run):
        class Validating(First):
            name = "validating"

            def select(self, client, budget):
                wanted = client.share("agent")[: client.cycle + 1]
                assert (client.buy(wanted, "reward") >= 0).all()
                return super().select(client, budget)

        shares = {"agent": 0.5, "pool": 0.5}
        rows = run(change(tiny, shares=shares), Validating, blobs).rows
        assert [row.labels for row in rows] == [12, 18, 24, 30]
        assert [row.labels_strict for row in rows] == [12, 21, 30, 39]

    def test_views_are_read_only(self, tiny, blobs, run):
        class Scribbling(First):
            name = "scribbling"

            def select(self, client, budget):
                for array in (
                    client.unlabelled,
                    client.labels,
                    client.probs(client.global_model),
                ):
                    with pytest.raises(ValueError, match="read-only"):
                        array[0] = 0
                return super().select(client, budget)

        run(tiny, Scribbling, blobs)

    @pytest.mark.parametrize("purpose", ["pool", "initial", "test"])
    def test_query_labels_cannot_be_bought_on_the_side(self, tiny, blobs, run, purpose):
        class Shoplifting(First):
            name = "shoplifting"

            def select(self, client, budget):
                client.buy(client.unlabelled[:1], purpose)

        with pytest.raises(PluginError, match="Cannot buy"):
            run(tiny, Shoplifting, blobs)

    def test_other_clients_samples_cannot_be_looked_at(self, tiny, blobs, run):
        class Peeping(First):
            name = "peeping"

            def select(self, client, budget):
                foreign = np.setdiff1d(np.arange(240), [*client.unlabelled, *client.labelled])
                client.probs(client.global_model, foreign[:1])

        with pytest.raises(PluginError, match="its own samples"):
            run(tiny, Peeping, blobs)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda client, budget: np.arange(budget) * 1.0, "1-D integer array, not 1-D float64"),
        (lambda client, budget: np.arange(budget)[:, None], "not 2-D"),
        (lambda client, budget: np.zeros(budget, dtype=int), "each position once"),
        (lambda client, budget: np.arange(budget) - 1, "not -1"),
        (lambda client, budget: np.arange(budget) + len(client.unlabelled), "positions in"),
        (lambda client, budget: np.arange(budget + 1), "at most 2 positions, not 3"),
        (lambda client, budget: np.arange(budget - 1), "exactly 2 positions, not 1"),
        (lambda client, budget: None, "integer array, not None"),
        (lambda client, budget: {0, 1}, "integer array, not a set"),
        (lambda client, budget: "01", "integer array, not a str"),
        (lambda client, budget: (0, None), "integer array, not a tuple"),
        (lambda client, budget: [[0], [1, 2]], "integer array, not a list"),
        (lambda client, budget: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_broken_selections_are_named(tiny, blobs, run, answer, message):
    class Broken(Strategy):
        name = "broken"

        def select(self, client, budget):
            return answer(client, budget)

    journal = MemoryJournal()
    with pytest.raises(PluginError, match=message) as caught:
        run(tiny, Broken, blobs, journal=journal)
    assert "broken" in str(caught.value)
    assert "client 0" in str(caught.value)
    assert len(journal.rows) == 1


def test_needs_must_be_a_set(tiny, blobs, run):
    class Needy(First):
        name = "needy"
        needs = LocalModel()

    with pytest.raises(PluginError, match=r"'needy'.*LocalModel.*set"):
        run(tiny, Needy, blobs)


def test_a_strategy_that_forgets_clients_is_named(tiny, blobs, run):
    class Forgetful(First):
        name = "forgetful"

        def select_all(self, federation):
            return federation.each(self.select)[:2]

    with pytest.raises(PluginError, match="2 of 3 clients"):
        run(tiny, Forgetful, blobs)


def test_nothing_survives_a_cycle_outside_the_memory(tiny, blobs, run):
    made = []

    class Stateful(First):
        name = "stateful"

        def __init__(self, params=None):
            super().__init__(params)
            made.append(self)

    run(tiny, Stateful, blobs)
    assert len({id(one) for one in made}) == len(made)
    assert len(made) == 4  # three queries, and one at the end to ask what it keeps


class TestTrainers:
    @pytest.mark.parametrize("trainer", [Kcfu(), Evidential()], ids=lambda trainer: trainer.name)
    def test_the_federation_learns_with_another_loss(self, tiny, blobs, run, trainer):
        task = change(tiny, rounds=30, local_epochs=5, batch_size=4)
        rows = run(task, Random, blobs, trainer=trainer).rows
        assert rows[-1].metrics["accuracy"] > 0.85
        plain = run(task, Random, blobs).rows
        # Selection, streams and labels are those of cross-entropy: rows of two trainers are paired.
        assert [row.labels_by_client for row in rows] == [row.labels_by_client for row in plain]
        assert rows[0].metrics["loss"] != plain[0].metrics["loss"]

    def test_a_training_that_diverges_fails_the_run(self, tiny, blobs, run):
        class Wild(CrossEntropy):
            name = "wild"

            def losses(self, logits, batch):
                return super().losses(logits, batch) * float("nan")

        with pytest.raises(DivergedError, match=r"'wild'.*cycle 0"):
            run(tiny, First, blobs, trainer=Wild())
        optimiser = {"kind": "sgd", "lr": 1e30}
        with pytest.raises(DivergedError, match="learning rate"):
            run(change(tiny, optimiser=optimiser, rounds=5), First, blobs)

    def test_a_trainer_is_told_the_round_and_mixes_the_clients_own_pool(self, tiny, blobs):
        setting = Setting.draw(change(tiny, rounds=3), 0, blobs)
        run = simulate(setting, First, MemoryJournal(), Kcfu())
        request = next(run)
        for number in range(3):
            for client, lane in enumerate(request.lanes):
                assert lane.round == number
                own = np.setdiff1d(setting.shares[client].pool, setting.initial[client])
                assert torch.equal(lane.unlabelled, blobs.train_features[own])
            starts = {id(lane.start) for lane in request.lanes}
            assert len(starts) == 1  # all start from the global model, which is their teacher
            request = run.send(train([request])[0])
        run.close()

    def test_probabilities_are_the_trainers(self, tiny, blobs, run):
        class Looking(First):
            name = "looking"

            def select(self, client, budget):
                alpha = np.maximum(client.logits(client.global_model), 0) + 1
                expected = alpha / alpha.sum(axis=1, keepdims=True)
                np.testing.assert_allclose(client.probs(client.global_model), expected)
                return super().select(client, budget)

        run(tiny, Looking, blobs, trainer=Evidential())

    def test_local_models_use_the_runs_trainer(self, tiny, blobs, run):
        heads = {}

        class Local(First):
            name = "local"
            needs = frozenset({LocalModel(LocalTraining(epochs=3))})

            def select(self, client, budget):
                heads[trainer.name, client.index] = client.local_model.weights["head.bias"]
                return super().select(client, budget)

        for trainer in (CROSS_ENTROPY, Evidential()):
            run(tiny, Local, blobs, trainer=trainer)
        assert not torch.equal(heads["cross-entropy", 0], heads["evidential", 0])
