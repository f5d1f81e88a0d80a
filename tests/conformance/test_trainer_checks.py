"""Built-in trainers keep the contract, and every check of trainers can fail."""

from pathlib import Path

import pytest

from fal_bench import FalbenchError, Trainer, check_trainer
from fal_bench.conformance.runner import ConformanceError, run_checks
from fal_bench.conformance.trainer_checks import TRAINER_CHECKS
from fal_bench.plugins.registry import Registry
from fal_bench.trainers.cross_entropy import CrossEntropy
from fal_bench.trainers.kcfu import Kcfu

BUILT_IN = Registry.discover().trainers
REGISTRY = Registry.discover([Path(__file__).parent / "bad_trainers"])
BAD = {
    name: Path(source).stem.replace("_", "-")
    for name, source in REGISTRY.trainers.sources.items()
    if source.endswith(".py")
}


@pytest.mark.parametrize("name", BUILT_IN.names())
def test_a_built_in_trainer_passes_every_check(name):
    report = check_trainer(BUILT_IN.load(name))
    assert {one.status for one in report.outcomes} <= {"ok", "not applicable"}


def test_an_object_is_checked_with_its_own_parameters():
    assert check_trainer(Kcfu({"divergence": "sum", "concentration": 0.5})).passed


def test_every_check_has_a_bad_trainer():
    assert not REGISTRY.unavailable
    assert set(BAD.values()) == {check.name for check in TRAINER_CHECKS}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_trainer_fails_the_check_written_for_it_and_no_other(name):
    limit = 0.5 if name == "hanging-loss" else 30
    report = run_checks(REGISTRY.trainers.load(name), call_timeout=limit)
    assert report.failed == (BAD[name],), report.text
    [failure] = [one for one in report.outcomes if one.status == "FAILED"]
    assert failure.note
    assert failure.advice
    prevented = [one for one in report.outcomes if one.status == "not checked"]
    assert all(BAD[name] in one.note for one in prevented)


def test_the_contracts_smallest_trainer_passes():
    class LabelSmoothing(Trainer):
        name = "label-smoothing"

        def losses(self, logits, batch):
            log_probs = logits.log_softmax(-1)
            true = log_probs.gather(-1, batch.labels.unsqueeze(-1)).squeeze(-1)
            return -0.9 * true - 0.1 * log_probs.mean(-1)

    assert check_trainer(LabelSmoothing).passed


def test_a_failure_is_an_assertion_with_the_report():
    with pytest.raises(ConformanceError, match="losses returned"):
        check_trainer(REGISTRY.trainers.load("mean"), only=["losses"])
    with pytest.raises(FalbenchError, match="is not a trainer"):
        check_trainer(object)
    with pytest.raises(FalbenchError, match="Unknown check 'probbs'"):
        check_trainer(CrossEntropy, only=["probbs"])


def test_what_to_do_fits_the_cause():
    class Raising(CrossEntropy):
        name = "raising"

        def losses(self, logits, batch):
            raise RuntimeError("no idea")

    class Greedy(CrossEntropy):
        name = "greedy"

        def losses(self, logits, batch):
            raise MemoryError

    class Small(CrossEntropy):
        name = "small"

        def losses(self, logits, batch):
            if logits.shape[-2] == 1:
                raise IndexError("too small")
            return super().losses(logits, batch)

    failures = {}
    for kind in (Raising, Greedy, Small, REGISTRY.trainers.load("hanging-loss")):
        outcomes = run_checks(kind, call_timeout=0.5).outcomes
        [failures[kind.name]] = [one for one in outcomes if one.status == "FAILED"]
    assert "test_trainer_checks.py, line" in failures["raising"].note
    assert "Fix the exception" in failures["raising"].advice
    assert "Keep less in memory" in failures["greedy"].advice
    assert "The last batch of an epoch may hold one sample" in failures["small"].advice
    assert "raise call_timeout" in failures["hanging-loss"].advice
