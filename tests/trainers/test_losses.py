"""The trainers' losses: by hand, against finite differences, and where little is labelled."""

import numpy as np
import pytest
import torch
from scipy.special import digamma, gammaln, log_softmax, softmax
from scipy.stats import dirichlet, entropy

from fal_bench.errors import InvalidSpecError
from fal_bench.inputs.selector import Selector
from fal_bench.plugins.distillation import Distillation
from fal_bench.plugins.registry import Registry
from fal_bench.plugins.trainer import LocalBatch, MixedBatch
from fal_bench.trainers.cross_entropy import CrossEntropy
from fal_bench.trainers.evidential import Evidential
from fal_bench.trainers.kcfu import Kcfu

TRAINERS = [CrossEntropy(), Distillation(), Kcfu(), Kcfu({"divergence": "sum"}), Evidential()]
LABELS = torch.tensor([0, 2, 2, 1])
COUNTS = torch.tensor([3, 1, 4, 0])


def logits(seed=0, rows=4, classes=4):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return 2 * drawn


def batch(labels=LABELS, counts=COUNTS, number=4, teacher_seed=7):
    teacher = logits(teacher_seed, len(labels), len(counts))
    return LocalBatch(labels, counts, torch.tensor(number), teacher)


def mixture(counts=COUNTS, number=4):
    return MixedBatch(
        weight=torch.tensor([0.2, 0.9, 0.5, 1.0], dtype=torch.float64),
        partner=torch.tensor([1, 0, 3, 2]),
        class_counts=counts,
        round=torch.tensor(number),
        start_logits=logits(3),
    )


@pytest.mark.parametrize(
    "trainer",
    [one for one in TRAINERS if not isinstance(one, Evidential)],
    ids=lambda trainer: str(trainer.params or trainer),
)
def test_gradients_agree_with_finite_differences(trainer):
    # Away from the kink of the relu: every logit is at least 0.05 from 0.
    point = logits(1)
    point = torch.where(point.abs() < 0.05, 0.05, point).requires_grad_()
    data = batch(torch.tensor([0, 2, 2, 1]), torch.tensor([3, 1, 4, 2]))
    assert torch.autograd.gradcheck(lambda x: trainer.losses(x, data), point)


def test_the_evidential_gradient_takes_the_weight_of_its_correction_as_given():
    data = batch(torch.tensor([0, 2, 2, 1]), torch.tensor([3, 1, 4, 2]))
    point = torch.where(logits(1).abs() < 0.05, 0.05, logits(1))
    trainer = Evidential({"regularisation": 0.5})

    def frozen(moved):
        """The loss with C / S held at the point: differenced, it must give the gradient."""
        true = moved.gather(-1, data.labels.unsqueeze(-1)).squeeze(-1)
        here, there = ((one.relu() + 1).sum(-1) for one in (moved, point))
        return trainer.losses(moved, data) + 0.5 * (4 / here - 4 / there) * true

    leaf = point.clone().requires_grad_()
    [gradient] = torch.autograd.grad(trainer.losses(leaf, data).sum(), leaf)
    step = 1e-6
    for row in range(4):
        for column in range(4):
            moved = [point.clone(), point.clone()]
            moved[0][row, column] += step
            moved[1][row, column] -= step
            difference = (frozen(moved[0]).sum() - frozen(moved[1]).sum()) / (2 * step)
            assert gradient[row, column].item() == pytest.approx(difference.item(), abs=1e-6)
    # A true class without evidence is lifted, and no other class is by that term.
    lonely = torch.tensor([[-3.0, 2.0, 0.5]], requires_grad=True)
    one = LocalBatch(torch.tensor([0]), torch.tensor([1, 1, 1]), torch.tensor(0))
    parts = [Evidential({"regularisation": r}).losses(lonely, one).sum() for r in (1.0, 0.0)]
    [correction] = torch.autograd.grad(parts[0] - parts[1], lonely)
    np.testing.assert_allclose(correction, [[-3 / 5.5, 0, 0]], atol=1e-6)


def test_distillation_by_scipy():
    data = batch()
    point = logits(1)
    student, teacher = point.numpy(), data.teacher_logits.numpy()
    expected = []
    for row, (mine, theirs) in enumerate(zip(student, teacher, strict=True)):
        hard = -log_softmax(mine)[data.labels[row]]
        soft = entropy(softmax(theirs / 4), softmax(mine / 4))
        expected.append(0.1 * hard + 0.9 * 16 * soft)
    np.testing.assert_allclose(Distillation().losses(point, data), expected, rtol=1e-9)


@pytest.mark.parametrize("divergence", ["mean", "sum"])
def test_the_compensations_gradient_agrees_with_finite_differences(divergence):
    trainer = Kcfu({"divergence": divergence})
    point = logits(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: trainer.mixed_losses(x, mixture()), point)


@pytest.mark.parametrize("trainer", TRAINERS, ids=lambda trainer: str(trainer.params or trainer))
@pytest.mark.parametrize(
    ("labels", "counts"),
    [([2], [0, 0, 1, 0]), ([0, 0, 0], [9, 0, 0, 0]), ([1, 1], [1, 1, 1, 1])],
    ids=["one sample", "one class", "all classes"],
)
@pytest.mark.parametrize("size", [0.0, 1.0, 200.0])
def test_losses_are_finite_with_absent_classes_and_extreme_logits(trainer, labels, counts, size):
    point = (size * logits(2, len(labels))).float().requires_grad_()
    losses = trainer.losses(point, batch(torch.tensor(labels), torch.tensor(counts)))
    assert losses.shape == (len(labels),)
    assert torch.isfinite(losses).all()
    [gradient] = torch.autograd.grad(losses.sum(), point)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("trainer", TRAINERS, ids=lambda trainer: str(trainer.params or trainer))
def test_many_clients_at_once_are_each_as_alone(trainer):
    several = [
        batch(counts=torch.tensor(c), number=n) for c, n in [([3, 1, 4, 1], 0), ([1] * 4, 9)]
    ]
    together = LocalBatch(
        torch.stack([one.labels for one in several]),
        torch.stack([one.class_counts for one in several]),
        torch.stack([one.round for one in several]),
        torch.stack([one.teacher_logits for one in several]),
    )
    points = torch.stack([logits(1), logits(2)])
    losses = trainer.losses(points, together)
    for client, one in enumerate(several):
        torch.testing.assert_close(losses[client], trainer.losses(points[client], one))


def test_balanced_softmax_by_hand():
    # One sample of class 0, logits 0, counts 3 and 1: softmax of (log 3, log 1) is (3/4, 1/4).
    data = LocalBatch(torch.tensor([0]), torch.tensor([3, 1]), torch.tensor(0))
    loss = Kcfu().losses(torch.zeros(1, 2), data)
    np.testing.assert_allclose(loss, [-np.log(0.75)], rtol=1e-6)
    # An absent class takes no probability, whatever its logit.
    data = LocalBatch(torch.tensor([0]), torch.tensor([5, 0]), torch.tensor(0))
    assert Kcfu().losses(torch.tensor([[0.0, 50.0]]), data).item() == 0


def test_the_compensation_by_hand():
    # The global model says class 1 on mixture 0 and class 0 on mixture 1; counts 3 and 1 give the
    # weights 1/4 and 3/4. Mixture 0 weighs 0.2 * 3/4 + 0.8 * 1/4 = 0.35.
    start = torch.tensor([[0.0, np.log(3)], [np.log(3), 0.0]])
    data = MixedBatch(
        weight=torch.tensor([0.2, 0.5]),
        partner=torch.tensor([1, 0]),
        class_counts=torch.tensor([3, 1]),
        round=torch.tensor(1),
        start_logits=start,
    )
    losses = Kcfu({"divergence": "sum"}).mixed_losses(torch.zeros(2, 2), data)
    divergence = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    np.testing.assert_allclose(losses, [0.35 * divergence, 0.5 * divergence], rtol=1e-6)
    averaged = Kcfu().mixed_losses(torch.zeros(2, 2), data)
    np.testing.assert_allclose(averaged, losses / 2, rtol=1e-6)


def test_the_compensation_starts_in_the_second_round_and_ignores_absent_classes():
    assert Kcfu().mixed_losses(logits(1), mixture(number=0)).abs().max() == 0
    assert (Kcfu().mixed_losses(logits(1), mixture(number=1)) > 0).all()
    data = mixture(counts=torch.tensor([0, 0, 5, 0]))
    predicted = data.start_logits.argmax(1)
    share = data.weight * (predicted == 2) + (1 - data.weight) * (predicted[data.partner] == 2)
    losses = Kcfu().mixed_losses(logits(1), data)
    assert 0 < (share > 0).sum() < 4
    assert torch.equal(losses > 0, share > 0)


def test_the_evidential_loss_by_scipy():
    data = batch(torch.tensor([0, 2, 2, 1]), torch.tensor([3, 1, 4, 2]), number=4)
    point = logits(1)
    alpha = np.maximum(point.numpy(), 0) + 1
    expected = []
    for row, label in zip(alpha, data.labels.tolist(), strict=True):
        prior = data.class_counts[label].item() / 10
        fit = (2 - prior) * (digamma(row.sum()) - digamma(row[label]))
        others = row.copy()
        others[label] = 1
        # KL(Dir(a) || Dir(1)) = log density of the uniform law taken from the entropy.
        divergence = -dirichlet(others).entropy() - gammaln(len(row))
        correction = len(row) / row.sum() * point[len(expected), label].item()
        expected.append(fit + 0.01 * (0.4 * divergence - correction))
    np.testing.assert_allclose(Evidential().losses(point, data), expected, rtol=1e-9)


def test_evidence_gives_the_dirichlets_mean():
    probs = Evidential().probs(np.array([[3.0, -5.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(probs, [[4 / 6, 1 / 6, 1 / 6]])


def test_distillation_ends_at_its_teacher():
    data = batch()
    hard, soft = Distillation({"weight": 0.0}), Distillation({"weight": 1.0})
    torch.testing.assert_close(hard.losses(logits(1), data), CrossEntropy().losses(logits(1), data))
    assert soft.losses(data.teacher_logits + 3, data).abs().max() < 1e-12
    assert (soft.losses(logits(1), data) > 0).all()


def test_trainers_are_found_by_name_and_checked():
    trainers = Registry.discover().trainers
    assert trainers.names() == ["cross-entropy", "evidential", "kcfu"]
    assert trainers.make(Selector("kcfu")) == Kcfu()
    assert trainers.make(Selector("kcfu", {"concentration": 1})) != Kcfu()
    with pytest.raises(InvalidSpecError, match=r"'kcfu'.*'concentration'"):
        trainers.make(Selector("kcfu", {"concentration": 0}))
