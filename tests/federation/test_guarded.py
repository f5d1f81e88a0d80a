"""Trainers of plugins are guarded wherever their code runs; built-in ones nowhere."""

from contextlib import contextmanager

import pytest
import torch

from fal_bench.errors import PluginError
from fal_bench.federation.guarded import GuardedTrainer, guarded, is_built_in, unguarded
from fal_bench.federation.journal import MemoryJournal
from fal_bench.strategies.fal_margin import FalMargin
from fal_bench.trainers.cross_entropy import CROSS_ENTROPY, CrossEntropy
from fal_bench.trainers.kcfu import Kcfu


class Foreign(CrossEntropy):
    name = "foreign"


class Failing(Kcfu):
    name = "failing"

    def mixed_losses(self, logits, batch):
        raise SystemExit(3)

    def probs(self, logits):
        raise PluginError("said so")


class Marking(MemoryJournal):
    def __init__(self):
        super().__init__()
        self.calls = []
        self.open = []

    @contextmanager
    def plugin_call(self, cycle, kind=None, name=""):
        self.open.append(name or "strategy")
        self.calls.append("/".join(self.open))
        yield
        self.open.pop()


def test_only_plugins_are_guarded():
    calls = []
    assert is_built_in(CROSS_ENTROPY)
    assert guarded(CROSS_ENTROPY, lambda: calls.append(1)) is CROSS_ENTROPY
    own = guarded(Foreign(), lambda: calls.append(1))
    assert isinstance(own, GuardedTrainer)
    assert unguarded(guarded(own, lambda: calls.append(2))) == Foreign()
    assert own == guarded(Foreign(), lambda: calls.append(3))
    assert hash(own) == hash(guarded(Foreign(), lambda: calls.append(3)))
    assert own != CROSS_ENTROPY
    assert own.name == "foreign"


def test_whatever_a_trainer_raises_has_its_name():
    @contextmanager
    def guard():
        yield

    trainer = guarded(Failing(), guard)
    assert trainer.mixes_unlabelled == 2.0
    with pytest.raises(PluginError, match=r"'failing'.*SystemExit: 3"):
        trainer.mixed_losses(torch.zeros(1), None)
    with pytest.raises(PluginError, match=r"'failing'.*: said so \(test_guarded.py, line 27\)$"):
        trainer.probs(None)


def test_a_run_marks_its_trainer_in_evaluation_and_inside_a_selection(tiny, blobs, run):
    journal = Marking()
    run(tiny, FalMargin, blobs, journal=journal, trainer=Foreign())
    assert set(journal.calls) == {"foreign", "strategy", "strategy/foreign"}
    plain = run(tiny, FalMargin, blobs, journal=Marking())
    assert set(plain.calls) == {"strategy"}
    assert [row.metrics["accuracy"] for row in plain.rows] == [
        row.metrics["accuracy"] for row in journal.rows
    ]
