"""Clients that miss rounds, and what clients keep from round to round."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fal_bench.errors import InvalidSpecError
from fal_bench.federation.attendance import Attendance
from fal_bench.federation.journal import MemoryJournal
from fal_bench.federation.loop import simulate
from fal_bench.federation.setting import Setting
from fal_bench.learning.engine import train
from fal_bench.plugins.needs import EpochPredictions
from fal_bench.strategies.random import Random
from fal_bench.streams import Streams
from fal_bench.task import Task


def task(**fields):
    return Task.model_validate(
        {
            "name": "tiny", "clients": 5, "model": {"kind": "mlp", "hidden": []}, "rounds": 4,
            "local_epochs": 2, "batch_size": 2, "initial_labels": 4, "query_size": 2,
            "budget_cap": 30, **fields,
        }
    )  # fmt: skip


def requests(one, blobs, strategy=Random, cycles=1):
    """The training requests of a run's first cycles with their answers, and its journal."""
    journal, seen = MemoryJournal(), []
    run = simulate(Setting.draw(one, 0, blobs), strategy, journal, metrics=())
    try:
        request = next(run)
        while len(journal.states) < cycles:
            [answer] = train([request])
            seen.append((request, answer))
            request = run.send(answer)
    except StopIteration:
        pass
    return seen, journal


@given(st.integers(1, 40), st.floats(0.02, 1), st.floats(0, 0.9), st.integers(0, 9))
def test_a_round_has_its_share_of_clients(clients, participation, dropouts, number):
    fields = {"clients": clients, "budget_cap": 6 * clients}
    if math.floor(clients * participation + 0.5) < 1:
        with pytest.raises(ValidationError, match="participation"):
            task(**fields, participation=participation)
        return
    one = task(**fields, participation=participation, dropouts=dropouts)
    drawn = Attendance.draw(one, Streams(1, one.problem), 2, number)
    assert len(set(drawn.asked)) == len(drawn.asked) == one.participants
    assert abs(len(drawn.asked) - participation * clients) <= 0.5
    assert set(drawn.present) <= set(drawn.asked) <= set(range(clients))
    assert list(drawn.present) == sorted(drawn.present)
    if not dropouts:
        assert drawn.present == drawn.asked


def test_over_many_rounds_all_take_part_and_some_drop_out():
    one = task(clients=10, budget_cap=60, participation=0.4, dropouts=0.25)
    drawn = [Attendance.draw(one, Streams(0, one.problem), 0, number) for number in range(500)]
    asked = np.bincount(np.concatenate([each.asked for each in drawn]), minlength=10) / 500
    assert np.abs(asked - 0.4).max() < 0.1
    arrived = sum(len(each.present) for each in drawn) / sum(len(each.asked) for each in drawn)
    assert abs(arrived - 0.75) < 0.05


def test_the_sentence_names_the_least_that_leaves_a_client():
    with pytest.raises(ValidationError, match=r"0\.1\b"):
        task(participation=0.05)
    assert task(participation=0.1).participants == 1


def test_who_takes_part_is_the_same_for_all_strategies_and_costs_less(blobs):
    full, few = task(), task(participation=0.4, dropouts=0.3)
    assert full.problem == few.problem

    class First(Random):
        name = "first"

        def select(self, client, budget):
            return np.arange(budget)

    (ours, journal), (theirs, _), (whole, all_there) = (
        requests(one, blobs, strategy, cycles=9)
        for one, strategy in ((few, Random), (few, First), (full, Random))
    )
    assert [len(one.lanes) for one, _ in ours] == [len(one.lanes) for one, _ in theirs]
    assert all(1 <= len(one.lanes) <= 2 for one, _ in ours)
    assert sum(len(one.lanes) for one, _ in ours) < sum(len(one.lanes) for one, _ in whole) / 2
    for row, other in zip(journal.rows, all_there.rows, strict=True):
        assert row.bytes_up <= row.bytes_down < other.bytes_down == other.bytes_up
    assert sum(row.bytes_up for row in journal.rows) < sum(row.bytes_down for row in journal.rows)


def test_scaffold_sends_twice_as_much(blobs):
    once, twice = (
        requests(task(aggregation={"kind": kind}), blobs)[1].rows[0]
        for kind in ("fedavg", "scaffold")
    )
    assert twice.bytes_up == 2 * once.bytes_up
    assert twice.bytes_down == 2 * once.bytes_down


@pytest.mark.parametrize("dropouts", [0.0, 0.999])
def test_a_client_that_missed_the_last_round_has_its_last_model_or_the_global_one(blobs, dropouts):
    one, seen = task(participation=0.2, dropouts=dropouts, budget_cap=40), []

    class Looking(Random):
        name = "looking"
        needs = frozenset({EpochPredictions()})

        def select(self, client, budget):
            previous, epochs = client.previous_model.weights, client.epoch_predictions
            seen.append((client.index, previous, len(epochs), client.global_model.weights))
            return np.arange(budget)

    made, _ = requests(one, blobs, Looking)
    setting = Setting.draw(one, 0, blobs)
    last = {}
    answers = iter(answer for _, answer in made)
    for number in range(one.rounds):
        for client in Attendance.draw(one, setting.streams, 0, number).present:
            last[client] = next(answers).weights[0]
    assert len(last) < one.clients
    for index, previous, epochs, model in seen[: one.clients]:
        assert epochs == one.local_epochs
        for name, tensor in previous.items():
            assert torch.equal(tensor, last.get(index, model)[name])


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("state", ["reset", "kept"])
def test_momenta_stay_with_a_client_for_a_cycle_if_they_are_kept(blobs, kind, state):
    optimiser = {"kind": kind, "state": state} | ({"momentum": 0.9} if kind == "sgd" else {})
    one = task(optimiser=optimiser, participation=0.6)
    made, _ = requests(one, blobs, cycles=2)
    setting = Setting.draw(one, 0, blobs)
    places = [(cycle, number) for cycle in range(2) for number in range(one.rounds)]
    steps = {}
    for (cycle, number), (request, answer) in zip(places, made, strict=True):
        if number == 0:
            steps = {}
        present = Attendance.draw(one, setting.streams, cycle, number).present
        for client, lane, after in zip(present, request.lanes, answer.momenta, strict=True):
            if state == "reset":
                assert lane.momenta is None
                assert after is None
                continue
            assert lane.momenta.steps == steps.get(client, 0)
            steps[client] = after.steps
            taken = one.local_epochs * math.ceil(len(lane.labels) / one.batch_size)
            assert after.steps == lane.momenta.steps + taken


def test_rates_follow_milestones_or_half_a_cosine(blobs):
    falling = {"lr": 0.4, "milestones": [1, 3], "gamma": 0.5}
    rates = [one.training.lr for one, _ in requests(task(optimiser=falling), blobs)[0]]
    assert rates == pytest.approx([0.4, 0.2, 0.2, 0.1])
    cosine = {"kind": "adamw", "lr": 0.4, "schedule": "cosine"}
    rates = [one.training.lr for one, _ in requests(task(optimiser=cosine), blobs)[0]]
    assert rates == pytest.approx([0.4, 0.2 + 0.1 * math.sqrt(2), 0.2, 0.2 - 0.1 * math.sqrt(2)])
    with pytest.raises(ValidationError, match="milestones"):
        task(optimiser={**falling, "schedule": "cosine"})


@pytest.mark.parametrize("kind", ["scaffold", "fednova"])
@pytest.mark.parametrize("optimiser", [{"kind": "adam"}, {"momentum": 0.9, "state": "kept"}])
def test_what_reads_gradients_takes_sgd_from_rest(blobs, kind, optimiser):
    one = task(aggregation={"kind": kind}, optimiser=optimiser)
    with pytest.raises(InvalidSpecError, match=f"{kind}.*optimiser"):
        next(simulate(Setting.draw(one, 0, blobs), Random, MemoryJournal()))
