"""The harness, driven by small strategies on a real (tiny) federation."""

import numpy as np
import pytest
import torch
from untimed import resumed, untimed

from fal_bench.acquisition.scores import smallest, top_two_margin
from fal_bench.errors import DivergedError, InvalidSpecError, PluginError
from fal_bench.federation.declared import check_suits
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.loop import FederatedTraining, simulate
from fal_bench.federation.setting import Setting
from fal_bench.learning.engine import train
from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.needs import (
    DistilledModel,
    EpochPredictions,
    LocalModel,
    LocalTraining,
    RoundSnapshots,
)
from fal_bench.plugins.strategy import Strategy, Train
from fal_bench.strategies.random import Random
from fal_bench.trainers.cross_entropy import CROSS_ENTROPY, CrossEntropy
from fal_bench.trainers.evidential import Evidential
from fal_bench.trainers.kcfu import Kcfu


class First(Strategy):
    name = "first"

    def select(self, client, budget):
        return np.arange(budget)


class Margin(Strategy):
    name = "margin"

    def select(self, client, budget):
        return smallest(top_two_margin(client.probs(client.global_model)), budget)


@pytest.fixture
def watch(tiny, blobs, run):
    """Return a function that runs ``First`` to its end and shows ``look`` each client before."""

    def watched(look, task=tiny, trainer=CROSS_ENTROPY, **members):
        def select(self, client, budget):
            look(client)
            return First.select(self, client, budget)

        probe = type("Probe", (First,), {"name": "probe", "select": select, **members})
        return run(task, probe, blobs, trainer=trainer)

    return watched


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

    task = change(tiny, reset=reset)
    whole = run(task, Remembering, blobs)
    rest = run(task, Remembering, blobs, journal=resumed(whole.states[1]))
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
    @pytest.fixture
    def buy(self, tiny, blobs, run):
        """Return a function that runs a strategy which buys ``count(client, budget)`` labels."""

        def bought(count, **changes):
            def select(self, client, budget):
                return np.arange(count(client, budget))

            members = {"name": "adaptive", "adaptive": True, "select": select}
            return run(change(tiny, **changes), type("Adaptive", (Strategy,), members), blobs).rows

        return bought

    def test_what_is_left_is_carried_over(self, buy):
        budgets = []

        def every_second(client, budget):
            budgets.append(budget)
            return budget if client.cycle % 2 else 0

        assert [row.labels for row in buy(every_second)] == [12, 12, 24, 24, 30]
        assert budgets[::3] == [2, 4, 2, 2]

    def test_a_strategy_that_buys_nothing_ends(self, buy):
        rows = buy(lambda client, budget: 0, max_cycles=6)
        assert [row.labels for row in rows] == [12] * 6

    def test_no_more_than_the_cap_and_one_query_can_be_bought(self, buy):
        rows = buy(lambda client, budget: budget if client.index else min(budget, 1), max_cycles=30)
        assert rows[-1].labels == 30
        assert rows[-1].labels_by_client == "10 10 10"


class TestInputs:
    def test_local_models_are_trained_on_the_clients_labels_alone(self, watch):
        seen = {}

        def look(client):
            predicted = client.probs(client.local_model, client.labelled).argmax(1)
            seen[client.cycle, client.index] = (predicted == client.labels).mean()
            assert client.local_model is not client.global_model

        recipe = LocalTraining(epochs=300, lr=0.05, stop_at_accuracy=1.0)
        watch(look, needs=frozenset({LocalModel(recipe)}))
        assert len(seen) == 9
        assert min(seen.values()) > 0.8

    def test_a_local_training_that_diverges_is_said_as_what_it_is(self, watch):
        wild = LocalTraining(epochs=40, lr=1e9, momentum=0.9, stop_at_accuracy=None)
        with pytest.raises(PluginError, match=r"client 0.*diverged.*learning rate") as failure:
            watch(
                lambda client: client.embeddings(client.local_model),
                needs=frozenset({LocalModel(wild)}),
            )
        assert isinstance(failure.value.__cause__, DivergedError)

    def test_distilled_models_follow_the_global_model(self, watch):
        """A distillation without labels learns what the teacher says, on the client's samples."""
        agreed = []

        def look(client):
            models = (client.distilled_model, client.global_model)
            taught, teacher = (client.probs(model, client.labelled) for model in models)
            agreed.append(np.abs(taught - teacher).max())

        teaching = Distillation({"weight": 1.0})
        recipe = LocalTraining(400, 4, 0.1, stop_at_accuracy=None, trainer=teaching)
        watch(look, needs=frozenset({DistilledModel(recipe)}))
        assert max(agreed) < 0.1

    def test_a_learning_rate_may_be_a_share_of_the_tasks(self, tiny, watch):
        def head(**rate):
            heads = []
            recipe = LocalTraining(epochs=2, **rate)
            watch(
                lambda client: heads.append(client.local_model.weights["head.bias"]),
                needs=frozenset({LocalModel(recipe)}),
            )
            return heads[0]

        given = head(lr=0.3 * tiny.optimiser.lr)
        assert torch.equal(given, head(lr_share=0.3))
        assert not torch.equal(given, head(lr_share=0.5))

    def test_a_distilled_model_needs_a_distillation(self, watch):
        wrong = frozenset({DistilledModel(LocalTraining(epochs=1))})
        with pytest.raises(PluginError, match=r"'probe'.*Distillation"):
            watch(lambda client: None, needs=wrong)

    def test_epoch_predictions_end_at_the_previous_model(self, tiny, blobs, run, watch):
        shapes = set()

        def look(client):
            predictions = client.epoch_predictions
            shapes.add((len(predictions), predictions.shape[1] - len(client.unlabelled)))
            last = client.logits(client.previous_model).argmax(1)
            np.testing.assert_array_equal(predictions[-1], last)

        needs = frozenset({EpochPredictions()})
        watched = watch(look, change(tiny, local_epochs=3), needs=needs)
        assert shapes == {(3, 0)}
        plain = run(change(tiny, local_epochs=3), First, blobs)
        assert untimed(watched.rows) == untimed(plain.rows)

    def test_snapshots_are_the_global_model_after_the_first_rounds_of_a_step(
        self, tiny, blobs, run, watch
    ):
        task, kept = change(tiny, rounds=5), []

        def look(client):
            kept.append([one.weights["head.bias"] for one in client.snapshots])

        watched = watch(look, task, needs=frozenset({RoundSnapshots(every=2, most=1)}))
        assert {len(own) for own in kept} == {1}
        plain = run(task, First, blobs)
        assert untimed(watched.rows) == untimed(plain.rows)
        kept.clear()
        watch(look, task, needs=frozenset({RoundSnapshots(every=1, most=9)}))
        (first, second, *_, last), final = kept[0], []
        watch(lambda client: final.append(client.global_model.weights["head.bias"]), task)
        assert torch.equal(last, final[0])
        assert not torch.equal(first, second)
        shorter = change(tiny, rounds=2)
        watch(lambda client: final.append(client.global_model.weights["head.bias"]), shorter)
        needs = frozenset({RoundSnapshots(every=3)})
        with pytest.raises(InvalidSpecError, match=r"'probe'.*every 3 rounds"):
            check_suits(type("Probe", (First,), {"name": "probe", "needs": needs})(), shorter)

    @pytest.mark.parametrize(
        ("name", "need"),
        [
            ("local_model", "LocalModel"),
            ("distilled_model", "DistilledModel"),
            ("epoch_predictions", "EpochPredictions"),
            ("snapshots", "RoundSnapshots"),
        ],
    )
    def test_undeclared_inputs_are_refused(self, watch, name, need):
        message = rf"probe.*client 0, cycle 0.*{name} .*{need}\(\)"
        with pytest.raises(PluginError, match=message):
            watch(lambda client: getattr(client, name))

    def test_hindsight_is_for_references_and_free(self, blobs, watch):
        def look(client):
            truth = blobs.train_labels.numpy()[client.unlabelled]
            np.testing.assert_array_equal(client.hindsight(), truth)

        with pytest.raises(PluginError, match="references alone"):
            watch(look)
        rows = watch(look, reference=True).rows
        assert [row.labels_strict for row in rows] == [12, 18, 24, 30]

    def test_the_average_of_the_previous_models_is_the_global_model(self, tiny, blobs, run):
        class Averaging(First):
            name = "averaging"

            def select_all(self, federation):
                def bias(name):
                    head = "head.bias"
                    return federation.gather(lambda c: getattr(c, name).weights[head].numpy())

                sent, final = bias("previous_model"), bias("global_model")
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
                assert not torch.equal(*(one.weights["head.bias"] for one in (tuned, fresh)))
                return np.arange(budget)

        rows = run(tiny, Finetuning, blobs).rows
        assert len(rows) == 4
        assert rows[1].select_seconds > 0

    def test_bought_labels_are_charged_as_strict_only(self, tiny, watch):
        def look(client):
            wanted = client.share("agent")[: client.cycle + 1]
            assert (client.buy(wanted, "reward") >= 0).all()

        rows = watch(look, change(tiny, shares={"agent": 0.5, "pool": 0.5})).rows
        assert [row.labels for row in rows] == [12, 18, 24, 30]
        assert [row.labels_strict for row in rows] == [12, 21, 30, 39]

    def test_views_are_read_only(self, watch):
        def scribble(client):
            probs = client.probs(client.global_model)
            for array in (client.unlabelled, client.labels, probs):
                with pytest.raises(ValueError, match="read-only"):
                    array[0] = 0

        assert len(watch(scribble).rows) == 4

    @pytest.mark.parametrize("purpose", ["pool", "initial", "test"])
    def test_query_labels_cannot_be_bought_on_the_side(self, watch, purpose):
        with pytest.raises(PluginError, match="Cannot buy"):
            watch(lambda client: client.buy(client.unlabelled[:1], purpose))

    def test_other_clients_samples_cannot_be_looked_at(self, watch):
        def peep(client):
            foreign = np.setdiff1d(np.arange(240), [*client.unlabelled, *client.labelled])
            client.probs(client.global_model, foreign[:1])

        with pytest.raises(PluginError, match="its own samples"):
            watch(peep)


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
        (lambda client, budget: 1 / 0, r"ZeroDivisionError.* \(test_loop.py, line \d+\)"),
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


def test_needs_must_be_a_set(watch):
    with pytest.raises(PluginError, match=r"'probe'.*LocalModel.*set"):
        watch(lambda client: None, needs=LocalModel())


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
        optimiser = {"kind": "sgd", "lr": 1e6, "momentum": 0.9}
        with pytest.raises(DivergedError, match="learning rate"):
            run(change(tiny, optimiser=optimiser, rounds=60), First, blobs)

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

    def test_probabilities_and_local_models_are_the_trainers(self, watch):
        def heads(trainer, look=lambda client: None):
            found = []

            def note(client):
                look(client)
                found.append(client.local_model.weights["head.bias"])

            needs = frozenset({LocalModel(LocalTraining(epochs=3))})
            watch(note, trainer=trainer, needs=needs)
            return found

        def look(client):
            alpha = np.maximum(client.logits(client.global_model), 0) + 1
            expected = alpha / alpha.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(client.probs(client.global_model), expected)

        assert not torch.equal(heads(CROSS_ENTROPY)[0], heads(Evidential(), look)[0])


@pytest.mark.parametrize("reset", ["scratch", "continue"])
def test_a_strategy_that_writes_to_models_writes_to_copies(tiny, watch, reset):
    task = change(tiny, reset=reset)

    def spoil(client):
        for model in (client.global_model, client.previous_model):
            for tensor in model.weights.values():
                tensor.data.fill_(3.0)

    spoilt, whole = watch(spoil, task=task), watch(lambda client: None, task=task)
    assert untimed(spoilt) == untimed(whole)
