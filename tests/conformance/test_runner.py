"""What an author meets: what is run, what is reported, and what is left as it was."""

import random
import re
import warnings
from functools import partial

import numpy as np
import pytest
import torch

from fal_bench import LocalModel, Params, Strategy, check_strategy, check_trainer
from fal_bench.conformance.runner import (
    SUBJECTS,
    ConformanceError,
    check,
    chosen,
    run_checks,
)
from fal_bench.conformance.worlds import WORLDS
from fal_bench.datasets.digits import load_digits
from fal_bench.errors import InvalidSpecError, UnknownNameError
from fal_bench.metrics.classification import accuracy
from fal_bench.models.mlp import mlp
from fal_bench.plugins.trainer import Trainer
from fal_bench.strategies.fedral import FedRAL
from fal_bench.strategies.random import Random
from fal_bench.trainers.cross_entropy import CrossEntropy
from fal_bench.trainers.kcfu import Kcfu


class Sized(Strategy):
    name = "sized"
    adaptive = True

    class Params(Params):
        size: int = 2

    def select(self, client, budget):
        return np.arange(min(self.params.size, len(client.unlabelled)))


class Server(Strategy):
    name = "server"

    def select_all(self, federation):
        counts = federation.gather(lambda client: np.array([len(client.unlabelled)]))
        federation.broadcast(np.concatenate(counts))
        return federation.each(lambda client, budget: client.rng.permutation(budget))


class Training(Strategy):
    name = "training"
    needs = frozenset({LocalModel()})

    def select(self, client, budget):
        from fal_bench import LocalTraining, Train

        tuned = yield Train(LocalTraining(epochs=2), client.local_model)
        return client.probs(tuned).max(axis=1).argsort()[:budget]


def states():
    return np.random.get_state()[1].tolist(), torch.get_rng_state().tolist(), random.getstate()  # noqa: NPY002


def by_name(report):
    return {one.check: one for one in report.outcomes}


def test_it_returns_a_report_and_leaves_the_process_as_it_was():
    before, filters, threads = states(), list(warnings.filters), torch.get_num_threads()
    report = check_strategy(Random)
    assert report.passed
    assert report.plugin == "random"
    assert states() == before
    assert warnings.filters == filters
    assert torch.get_num_threads() == threads


def test_a_failure_says_what_where_and_what_to_do():
    with pytest.raises(ConformanceError) as caught:
        check_strategy(Sized({"size": 5}))
    report = caught.value.report
    assert report.failed == ("positions",)
    failure = by_name(report)["positions"]
    assert re.search("4 .* 5", failure.note)
    assert "client 0, cycle 0" in failure.where
    assert "budget 4, pool 80" in failure.where
    for part in (failure.line, failure.note, failure.where, failure.advice, report.summary):
        assert part in str(caught.value)


def test_an_object_is_checked_with_its_own_parameters():
    assert "24 samples" not in by_name(check_strategy(Sized))["positions"].note
    assert "27 samples" in by_name(check_strategy(Sized({"size": 3})))["positions"].note
    assert check_trainer(Kcfu({"divergence": "sum", "concentration": 0.5})).passed


def test_the_kind_of_a_plugin_is_found_out():
    names = [
        [one.check for one in check(plugin, only="params").outcomes]
        for plugin in (
            Sized,
            Sized({"size": 3}),
            Kcfu,
            Kcfu(),
            "kcfu",
            "kcfu[divergence=sum]",
            mlp,
            partial(mlp, hidden=()),
            "cnn4[width=3]",
            load_digits,
            "digits[test_fraction=0.5]",
        )
    ]
    assert names == 11 * [["params"]]
    assert check(accuracy, only="value").plugin == "accuracy"
    assert check("logo[n_init=2]", only="positions").plugin == "logo"
    with pytest.raises(ConformanceError, match="positions"):
        check(Sized({"size": 5}))
    with pytest.raises(UnknownNameError, match="'kcfu'"):
        check("kcfo")


def test_coordinated_and_training_strategies_are_checked_too():
    server = by_name(check_strategy(Server))
    # 8 bytes from and 24 to each of three clients, in three queries.
    assert server["coordination"].note.startswith("288 bytes")
    assert server["isolation"].status == "not applicable"
    training = by_name(check_strategy(Training))
    assert training["needs"].note == "LocalModel"


def test_a_reference_may_see_true_labels_if_it_says_so(monkeypatch):
    class Oracle(Strategy):
        name = "oracle"

        def select(self, client, budget):
            for cell in client._buy.__closure__:
                if hasattr(cell.cell_contents, "charges"):
                    labels = cell.cell_contents._Ledger__labels(client.unlabelled)
            return labels.argsort(kind="stable")[:budget]

    assert run_checks(Oracle).failed == ("hidden-labels",)
    Oracle.reference = True
    assert by_name(check_strategy(Oracle))["hidden-labels"].status == "not applicable"


def test_a_strategy_gets_the_first_world_that_it_accepts():
    assert "'plain'" in by_name(run_checks(Random, only=["task"]))["task"].note
    assert "'shares'" in by_name(run_checks(FedRAL, only=["task"]))["task"].note


def test_only_some_checks():
    report = run_checks(Sized({"size": 5}), only=["memory", "params"])
    assert [one.check for one in report.outcomes] == ["params", "memory"]
    assert not report.passed
    assert not report.failed
    assert "because positions failed" in report.text  # said, though not asked for
    with pytest.raises(UnknownNameError, match="'memory'"):
        run_checks(Sized, only=["memry"])
    with pytest.raises(UnknownNameError) as caught:
        chosen([one for subject in SUBJECTS for one in subject.checks], ["xxxxxx"])
    assert str(caught.value).count(" memory,") == 1  # both kinds have a check of some names
    assert str(caught.value).count(" params,") == 1


@pytest.mark.parametrize(
    ("function", "plugin", "message"),
    [
        (check_strategy, int, "int is not a strategy"),
        (check_strategy, CrossEntropy, "CrossEntropy is not a strategy"),
        (check_trainer, Sized({"size": 3}), "Sized is not a trainer"),
        (check, object, "object is not a plugin"),
        (check, len, "len is not a plugin"),
        (check, 7, "int is not a plugin"),
    ],
)
def test_what_is_no_plugin_is_refused(function, plugin, message):
    with pytest.raises(InvalidSpecError, match=message):
        function(plugin)


def test_a_hang_is_reported_with_its_line():
    class Hanging(Strategy):
        name = "hanging"

        def select(self, client, budget):
            import time

            time.sleep(10 * client.cycle)
            return np.arange(budget)

    report = run_checks(Hanging, call_timeout=0.3)
    assert report.failed == ("returns",)
    failure = by_name(report)["returns"]
    assert "0.3 s" in failure.note
    assert "test_runner.py" in failure.note
    assert "time.sleep(10" in failure.note
    assert "cycle 1, seed 0" in failure.where


def test_what_may_hang_before_the_first_query_is_limited_too():
    import time

    class Slow(Random):
        name = "slow"

        def check_task(self, task):
            time.sleep(10)

    report = run_checks(Slow, call_timeout=0.3)
    assert report.failed == ("task",)
    assert "0.3 s" in by_name(report)["task"].note


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_client_of_a_world_holds_labels_of_every_class(world, seed):
    setting = world.setting(seed)
    for ids in setting.initial:
        assert len(setting.dataset.train_labels[ids].unique()) == setting.dataset.n_classes


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_random_can_be_run_in_every_world(world, monkeypatch):
    monkeypatch.setattr("fal_bench.conformance.strategy_checks.WORLDS", (world,))
    report = check_strategy(Random)
    assert repr(world.name) in by_name(report)["task"].note


def test_a_strategy_is_checked_with_the_trainer_it_names():
    class Broken(Trainer):
        name = "broken"

        def losses(self, logits, batch):
            raise RuntimeError("boom")

    class Using(Random):
        name = "using"
        trainer = "broken"

    globals()["Broken"] = Broken  # where a plugin file would have it
    try:
        report = run_checks(Using)
    finally:
        del globals()["Broken"]
    assert not report.passed
    assert "boom" in report.text


def faulty(select, **attributes):
    kind = type("Faulty", (Strategy,), {"name": "faulty", "select": select, **attributes})
    # Where a class statement in this file would have it.
    kind.__module__ = __name__
    return kind


def losses_raising(error, when=lambda logits: True):
    def losses(self, logits, batch):
        if when(logits):
            raise error
        return CrossEntropy.losses(self, logits, batch)

    return type("Raising", (CrossEntropy,), {"losses": losses, "__module__": __name__})


def failure_of(plugin, **options):
    [failure] = [one for one in run_checks(plugin, **options).outcomes if one.status == "FAILED"]
    return failure


def raising(self, client, budget):
    raise KeyError("lost")


def endless(self, client, budget):
    return endless(self, client, budget)


def unsigned(self, client):
    return np.arange(4)


def ids(self, client, budget):
    return client.unlabelled[-budget:]


@pytest.mark.parametrize(
    ("plugin", "check", "note", "advice"),
    [
        (faulty(raising), "returns", "test_runner.py, line", "Fix the exception"),
        (faulty(endless), "returns", "test_runner.py, line", "Fix the exception"),
        (faulty(unsigned), "returns", "unsigned() takes 2", "select(self, client, budget)"),
        (faulty(Sized.select, trainer="nosuch"), "positions", "'nosuch'", "check the spelling"),
        (faulty(ids), "positions", "positions in", "not ids"),
        (faulty(lambda self, client, budget: None), "positions", "not None", "Return positions"),
        (faulty(Sized.select, needs=LocalModel()), "needs", "LocalModel", "frozenset({LocalModel"),
        (losses_raising(RuntimeError("no")), "losses", "test_runner.py, line", "Fix the exception"),
        (losses_raising(MemoryError()), "losses", "test_runner.py, line", "memory"),
        (
            losses_raising(IndexError("too small"), lambda logits: logits.shape[-2] == 1),
            "single-sample",
            "test_runner.py, line",
            "one label",
        ),
    ],
)
def test_what_to_do_fits_the_cause(plugin, check, note, advice):
    failure = failure_of(plugin)
    assert failure.check == check
    assert note in failure.note
    assert advice in failure.advice


def test_ids_are_distinguished_from_positions_where_few_samples_are_left():
    def first_ids(self, client, budget):
        return client.unlabelled[:budget]

    assert "not ids" in failure_of(faulty(first_ids), only=["one-left"]).advice


def test_an_interrupt_that_a_plugin_raises_fails_its_check():
    def interrupt(self, params=None):
        raise KeyboardInterrupt("made")

    failure = failure_of(faulty(Sized.select, __init__=interrupt))
    assert failure.check == "params"
    assert "KeyboardInterrupt: made" in failure.note
    assert "test_runner.py" in failure.note


def test_the_contracts_smallest_trainer_passes():
    class LabelSmoothing(Trainer):
        name = "label-smoothing"

        def losses(self, logits, batch):
            log_probs = logits.log_softmax(-1)
            true = log_probs.gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)
            return -0.9 * true - 0.1 * log_probs.mean(-1)

    assert check_trainer(LabelSmoothing).passed
