import math
import sys
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint, EntryPoints
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_score,
    roc_auc_score,
)

import fal_bench
from fal_bench.errors import InvalidSpecError, PluginError, UnknownNameError
from fal_bench.federation.setting import Setting
from fal_bench.learning.evaluation import evaluate
from fal_bench.plugins import registry
from fal_bench.plugins.built_in import METRIC
from fal_bench.plugins.metric import Metric, by_client, metric
from fal_bench.plugins.registry import Registry, current_registry
from fal_bench.results.model import TIMINGS
from fal_bench.sweep.metrics import check_recordable

EVERY = {one.name: one for one in current_registry().metrics.all()}
ON_TEST = [one for one in EVERY.values() if one.samples == "test"]


def drawn(seed=0, n=300, classes=6):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)).astype(np.float32)
    logits[np.arange(n), labels] += 1
    return logits, labels


def softmax(logits):
    powers = np.exp(logits.astype(float))
    return powers / powers.sum(axis=1, keepdims=True)


def test_what_every_run_records():
    shares = {"accuracy", "auroc", "balanced_accuracy", "macro_f1", "precision", "train_accuracy"}
    errors = {"loss", "calibration_error"}
    assert shares | errors <= set(EVERY)
    assert all(EVERY[name].higher_is_better and EVERY[name].share for name in shares)
    assert not any(EVERY[name].higher_is_better for name in errors)
    assert EVERY["train_accuracy"].samples == "train"


def test_clients_are_measured_one_by_one():
    logits, labels = drawn(n=400)
    clients = np.random.default_rng(1).choice([0, 1, 1, 1, 4], size=400)
    right = logits.argmax(axis=1) == labels
    own = [right[clients == client].mean() for client in (0, 1, 4)]
    found = evaluate(ON_TEST, logits, labels, clients)
    expected = {
        "worst_client_accuracy": min(own),
        "mean_client_accuracy": np.mean(own),
        "client_accuracy_spread": np.std(own),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert evaluate(ON_TEST, logits, labels).keys() == found.keys() - expected.keys()


def test_they_agree_with_scikit_learn():
    logits, labels = drawn()
    logits[:, 4] = -9  # never predicted
    logits[:50] = logits[0]  # ties
    found, probs, predicted = evaluate(ON_TEST, logits, labels), softmax(logits), logits.argmax(1)
    expected = {
        "accuracy": (predicted == labels).mean(),
        "auroc": roc_auc_score(labels, probs, multi_class="ovr"),
        "balanced_accuracy": balanced_accuracy_score(labels, predicted),
        "loss": log_loss(labels, probs),
        "macro_f1": f1_score(labels, predicted, average="macro"),
        "precision": precision_score(labels, predicted, average="weighted", zero_division=0),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_weighted_precision_by_hand():
    logits = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    found = evaluate([EVERY["precision"]], logits, np.array([0, 1, 1, 2]))
    # Class 0: 1 of 2 claims, support 1; class 1: 1 of 2, support 2; class 2: never claimed.
    assert found["precision"] == pytest.approx((0.5 + 2 * 0.5) / 4)


def test_calibration_error_by_hand():
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    found = EVERY["calibration_error"].measure({"labels": np.array([0, 1, 0, 1]), "probs": probs})
    # One bin holds 0.9 twice (half of them right), another 0.6 twice (both right).
    assert found == pytest.approx((2 * abs(0.5 - 0.9) + 2 * abs(1 - 0.6)) / 4)


def test_a_single_class_has_no_area_under_the_curve():
    logits, _ = drawn(n=10)
    assert math.isnan(evaluate(ON_TEST, logits, np.zeros(10, dtype=np.int64))["auroc"])


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 8))
def test_their_values_are_shares_whatever_the_order_of_samples(seed, n, classes):
    logits, labels = drawn(seed, n, classes)
    order = np.random.default_rng(seed).permutation(n)
    found = evaluate(ON_TEST, logits, labels)
    assert evaluate(ON_TEST, logits[order], labels[order]) == pytest.approx(found, nan_ok=True)
    for name, value in found.items():
        assert math.isnan(value) or 0 <= value <= (math.inf if name == "loss" else 1)


@pytest.mark.parametrize("name", [one.name for one in EVERY.values() if one.share])
def test_a_target_that_no_share_can_reach_is_refused_before_anything_runs(name, tmp_path):
    with pytest.raises(InvalidSpecError, match="60"):
        fal_bench.compare("random", suite="smoke", target=f"{name}=60", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


class TestYourOwn:
    def test_a_decorated_function_is_a_metric(self):
        @metric(higher_is_better=False)
        def brier(labels, probs):
            return ((probs - np.eye(probs.shape[1])[labels]) ** 2).sum(axis=1).mean()

        logits, labels = drawn()
        assert isinstance(brier, Metric)
        assert 0 < evaluate([brier], logits, labels)["brier"] < 2

    def test_one_that_asks_for_something_else_is_refused(self):
        with pytest.raises(PluginError, match="'weights'"):
            metric(lambda labels, weights: 0.0)

    @pytest.mark.parametrize("value", [None, "0.5", True, math.inf, [1.0, 2.0], 1.7])
    def test_what_is_no_such_number_costs_its_own_value_and_no_other(self, value):
        @metric(share=True)
        def odd(labels):
            return value

        reasons = {}
        found = evaluate([odd, EVERY["accuracy"]], *drawn(), unrecorded=reasons)
        assert math.isnan(found["odd"])
        assert found["accuracy"] == evaluate([EVERY["accuracy"]], *drawn())["accuracy"]
        assert reasons.keys() == {"odd"}
        assert "'odd'" in reasons["odd"]

    @pytest.mark.parametrize("value", [0, 0.5, np.float32(0.5), np.array(0.5), math.nan])
    def test_every_kind_of_number_is_one(self, value):
        @metric(share=True)
        def fine(labels):
            return value

        assert fine.measure({"labels": np.zeros(1)}) == pytest.approx(float(value), nan_ok=True)

    def test_one_that_failed_is_not_called_again(self):
        calls = []

        @metric
        def once(labels):
            calls.append(1)
            raise ValueError

        reasons = {}
        for _ in range(3):
            evaluate([once], *drawn(), unrecorded=reasons)
        assert len(calls) == 1

    def test_the_arrays_cannot_be_written_to(self):
        @metric
        def greedy(labels, probs):
            probs[:] = 0
            return 1.0

        reasons = {}
        found = evaluate([greedy, EVERY["loss"]], *drawn(), unrecorded=reasons)
        assert reasons.keys() == {"greedy"}
        assert found["loss"] == evaluate([EVERY["loss"]], *drawn())["loss"]


BROKEN = """
import os
from fal_bench import metric

@metric
def leaves(labels):
    os._exit(3)

@metric
def of_clients(labels, clients):
    return 0.5

@metric
def fine(labels, probs):
    return (probs.argmax(axis=1) == labels).mean()
"""


def test_broken_metrics_cost_their_own_columns_and_say_why(suite, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text(BROKEN)
    asked = {"suite": suite, "task": "a", "seeds": 1, "backend": "sequential", "progress": False}
    plain = fal_bench.compare("random", out=tmp_path / "plain", **asked).curves
    found = fal_bench.compare("random", out=tmp_path / "out", plugins=file, **asked).curves
    same = [name for name in plain if name not in TIMINGS]
    pd.testing.assert_frame_equal(found[same], plain[same], check_exact=True)
    assert set(found) - set(plain) == {"fine"}
    assert found["fine"].tolist() == found["accuracy"].tolist()
    reasons = fal_bench.load(tmp_path / "out").runs["unrecorded"].iloc[0]
    assert {"leaves", "of_clients"} <= set(reasons)
    assert "3" in reasons["leaves"]
    with pytest.raises(InvalidSpecError, match="leaves"):
        fal_bench.report(tmp_path / "out", target="leaves=0.5")


def test_an_installed_metric_that_cannot_be_imported_stops_only_who_targets_it(
    suite, tmp_path, monkeypatch
):
    entry = EntryPoint("torn", "no_such_package:torn", METRIC.package)
    monkeypatch.setattr(
        registry, "installed_entries", lambda group: EntryPoints([entry]).select(group=group)
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])  # what is installed is new
    notes = []
    asked = {"suite": suite, "task": "a", "seeds": 1, "backend": "sequential", "progress": False}
    asked |= {"out": tmp_path / "out", "notify": lambda _, note: notes.append(note)}
    with pytest.raises(PluginError, match="no_such_package"):
        fal_bench.compare("random", target="torn=0.5", **asked)
    assert not (tmp_path / "out").exists()
    found = fal_bench.compare("random", target_acc=0.2, **asked)
    assert "torn" not in found.curves
    assert "accuracy" in found.curves
    assert any("torn" in note and "no_such_package" in note for note in notes)
    assert fal_bench.report(tmp_path / "out", target="auroc=auto").curves is not None


class TestTargetsThatATaskCannotRecord:
    ASKED = MappingProxyType({"seeds": 2, "backend": "sequential", "progress": False})

    def test_they_are_refused_before_anything_runs(self, suite, tmp_path):
        asked = {**self.ASKED, "suite": suite, "out": tmp_path / "out"}
        for call in (
            partial(fal_bench.compare, "random", task="a"),
            partial(fal_bench.inspect, "a"),
        ):
            with pytest.raises(InvalidSpecError, match=r"'a'.*worst_client_accuracy"):
                call(target="worst_client_accuracy=0.5", **asked)
        assert not (tmp_path / "out").exists()

    def test_so_are_those_of_plugins(self, suite, tmp_path):
        file = tmp_path / "broken.py"
        file.write_text(RAISING)
        asked = {**self.ASKED, "suite": suite, "out": tmp_path / "out", "plugins": file}
        with pytest.raises(InvalidSpecError, match=r"'a'.*raises.*no such thing"):
            fal_bench.compare("random", task="a", target="raises=0.5", **asked)
        assert not (tmp_path / "out").exists()

    def test_a_metric_without_any_value_is_refused(self, blobs, tiny):
        @metric
        def undefined(labels):
            return math.nan

        with pytest.raises(InvalidSpecError, match="undefined"):
            check_recordable(Setting.draw(tiny, 0, blobs), [undefined], rng())

    def test_what_has_no_value_on_some_predictions_is_recorded(self, blobs, tiny):
        @metric
        def of_the_confident(labels, probs):
            sure = probs.max(axis=1) > 0.999
            return (probs.argmax(axis=1) == labels)[sure].mean() if sure.any() else math.nan

        check_recordable(Setting.draw(tiny, 0, blobs), [of_the_confident], rng())

    def test_one_class_in_all_has_no_area_under_the_curve(self, blobs, tiny):
        same = replace(blobs, test_labels=torch.zeros_like(blobs.test_labels))
        setting = Setting.draw(tiny, 0, same)
        for one in EVERY.values():
            if one.name == "auroc" or (one.samples == "test" and "clients" in one.inputs):
                with pytest.raises(InvalidSpecError, match=f"tiny.*{one.name}"):
                    check_recordable(setting, [one], rng())
            else:
                check_recordable(setting, [one], rng())


def rng():
    return np.random.default_rng(0)


RAISING = """
from fal_bench import metric

@metric
def raises(labels):
    raise ValueError("no such thing")
"""


class TestClientByClient:
    def test_they_are_the_metric_on_each_clients_samples(self):
        logits, labels = drawn(n=400)
        clients = np.random.default_rng(1).choice([0, 1, 4, 5], size=400)
        labels[clients == 4] = 2  # one class: no area under the curve
        table = Registry.discover().metrics
        for base in (EVERY["auroc"], EVERY["loss"]):
            own = [
                evaluate([base], logits[clients == client], labels[clients == client])[base.name]
                for client in (0, 1, 4, 5)
            ]
            assert np.isnan(own).sum() == (base.name == "auroc")
            expected = {
                f"worst_client_{base.name}": (np.nanmin if base.higher_is_better else np.nanmax)(
                    own
                ),
                f"mean_client_{base.name}": np.nanmean(own),
                f"client_{base.name}_spread": np.nanstd(own),
            }
            metrics = [table.load(name) for name in expected]
            assert evaluate(metrics, logits, labels, clients) == pytest.approx(expected)
            ways = [one.higher_is_better for one in metrics]
            assert ways == [base.higher_is_better, base.higher_is_better, False]
            assert {one.share for one in metrics} == {base.share}

    def test_they_have_no_value_where_no_client_has_one(self):
        metric = Registry.discover().metrics.load("worst_client_auroc")
        logits, labels = drawn(n=6)
        assert math.isnan(evaluate([metric], logits, labels, np.arange(6))["worst_client_auroc"])

    def test_the_one_that_ships_is_the_same(self):
        logits, labels = drawn(n=400)
        clients = np.random.default_rng(1).integers(5, size=400)
        for name in ("worst_client_accuracy", "mean_client_accuracy", "client_accuracy_spread"):
            base, make = by_client(name)
            found = evaluate([EVERY[name], make(EVERY[base])], logits, labels, clients)
            alone = evaluate([EVERY[name]], logits, labels, clients)
            assert found == pytest.approx(alone)

    @pytest.mark.parametrize("name", ["worst_client_nothing", "mean_client_mean_client_accuracy"])
    def test_what_measures_nothing_is_no_metric(self, name, suite, tmp_path):
        with pytest.raises((UnknownNameError, PluginError), match=name):
            fal_bench.compare("random", suite=suite, target=f"{name}=0.5", out=tmp_path / "out")

    def test_they_are_recorded_where_they_are_targets_and_not_else(self, folders, tmp_path):
        rng = np.random.default_rng(0)
        arrays = {}
        for part, size in (("train", 90), ("test", 60)):
            arrays[f"{part}_labels"] = np.arange(size) % 3
            noise = rng.normal(size=(size, 4))
            arrays[f"{part}_images"] = noise + arrays[f"{part}_labels"][:, None]
            arrays[f"{part}_clients"] = rng.permutation(np.arange(size) % 3)
        np.savez(folders.data / "sites.npz", **arrays)
        file = tmp_path / "sites.toml"
        file.write_text(SITES)
        asked = {"suite": file, "seeds": 1, "backend": "sequential", "progress": False}
        asked["data_dir"] = folders.data
        plain = fal_bench.compare("random", out=tmp_path / "plain", target_acc=0.3, **asked)
        out = tmp_path / "out"
        found = fal_bench.compare("random", out=out, target="worst_client_auroc=auto", **asked)
        assert set(found.curves) - set(plain.curves) == {"worst_client_auroc"}
        assert (found.curves["worst_client_auroc"] <= 1).all()
        same = [name for name in plain.curves if name not in TIMINGS]
        pd.testing.assert_frame_equal(found.curves[same], plain.curves[same], check_exact=True)
        again = fal_bench.report(out, suite=file, target="worst_client_auroc=0.6")
        assert not again.missing
        with pytest.raises(InvalidSpecError, match="client_loss_spread"):
            fal_bench.report(out, suite=file, target="client_loss_spread=auto")


SITES = """
[tasks.sites]
dataset = "npz[path=sites.npz]"
partition = { kind = "given" }
model = { kind = "mlp", hidden = [8] }
rounds = 2
local_epochs = 1
initial_labels = 3
query_size = 3
budget_cap = 27
"""
