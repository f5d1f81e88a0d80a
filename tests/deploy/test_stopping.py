"""When a federation stops buying labels."""

import math

import pytest

from fal_bench.deploy.config import Stopping
from fal_bench.deploy.stopping import Accuracy, expected_gain, reason_to_stop


def test_a_target_is_reached_when_chance_is_no_longer_an_explanation():
    rule = Stopping(target=0.8)
    assert reason_to_stop(rule, [50], [Accuracy(82, 100)]) is None
    assert "0.8" in reason_to_stop(rule, [50], [Accuracy(900, 1000)])
    assert reason_to_stop(rule, [50], [Accuracy(0, 0)]) is None


def test_the_gain_of_a_curve_that_grows_with_the_logarithm_is_found():
    labels = [50, 100, 150, 200]
    gain = expected_gain(labels, [0.2 + 0.1 * math.log(count) for count in labels])
    assert gain == pytest.approx(0.1 * math.log(300 / 200))
    assert expected_gain(labels[:3], [0.1, 0.2, 0.3]) is None


def test_a_flat_curve_stops_and_a_steep_one_does_not():
    labels = [50, 100, 150, 200]
    flat, steep = [Accuracy(80, 100)] * 4, [Accuracy(20 * i, 100) for i in range(1, 5)]
    rule = Stopping(gain=0.01)
    assert "100 labels" in reason_to_stop(rule, labels, flat)
    assert reason_to_stop(rule, labels, steep) is None
    assert reason_to_stop(Stopping(), labels, flat) is None
