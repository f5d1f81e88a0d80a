"""Which runs run together."""

import time

from hypothesis import given
from hypothesis import strategies as st

from fal_bench.inputs.selector import Selector
from fal_bench.sweep.groups import LANES, plan_groups, updates
from fal_bench.sweep.spec import RunSpec
from fal_bench.task import Task


def task(**fields):
    return Task.model_validate({"clients": 5, "budget_cap": 550, "initial_labels": 20, **fields})


def runs(tasks, strategies, seeds):
    return [
        RunSpec(one, Selector(name, {}), "1", seed)
        for seed in range(seeds)
        for one in tasks
        for name in strategies
    ]


IID = task(name="iid")
DIRICHLET = task(name="dirichlet", partition={"kind": "dirichlet", "alpha": 0.1})
CNN = task(name="cnn", model={"kind": "cnn"})


@given(
    seeds=st.integers(1, 7),
    strategies=st.integers(1, 5),
    tasks=st.sets(st.sampled_from([0, 1, 2]), min_size=1),
    jobs=st.integers(1, 9),
)
def test_every_run_is_in_one_group_of_one_architecture(seeds, strategies, tasks, jobs):
    chosen = [(IID, DIRICHLET, CNN)[number] for number in sorted(tasks)]
    specs = runs(chosen, "abcde"[:strategies], seeds)
    groups = plan_groups(specs, jobs)
    assert sorted(spec.key for group in groups for spec in group) == sorted(s.key for s in specs)
    assert all(group for group in groups)
    for group in groups:
        assert len({spec.task.model for spec in group}) == 1
    assert len(groups) >= min(jobs, len(specs))


def test_the_default_comparison_is_split_evenly_and_keeps_pairs_together():
    groups = plan_groups(runs([IID, DIRICHLET], ["random", "margin", "logo"], 5), 2)
    assert sorted(len(group) for group in groups) == [6, 6, 9, 9]
    homes = {}
    for number, group in enumerate(groups):
        assert sum(spec.task.clients for spec in group) <= LANES
        for spec in group:
            homes.setdefault((spec.task.name, spec.seed), set()).add(number)
    assert all(len(home) == 1 for home in homes.values())
    # Tasks of one cost by the plan may differ in truth, so each group has some of each.
    for group in groups:
        assert {spec.task.name for spec in group} == {"iid", "dirichlet"}


def test_one_family_is_split_rather_than_leave_workers_idle():
    groups = plan_groups(runs([IID], ["a", "b", "c", "d"], 1), 2)
    assert [len(group) for group in groups] == [2, 2]


def test_costly_groups_come_first():
    long = task(name="long", model={"kind": "cnn"}, rounds=200)
    groups = plan_groups(runs([IID, long], ["a"], 2), 1)
    assert [group[0].task.name for group in groups] == ["long", "iid"]


def test_updates_by_hand():
    small = Task(
        clients=3, rounds=2, local_epochs=4, batch_size=10, initial_labels=10, query_size=5,
        budget_cap=45,
    )  # fmt: skip
    # Three cycles of 10, 15 and 20 labels a client: 1, 2 and 2 batches.
    assert updates(small) == 3 * 2 * 4 * (1 + 2 + 2)


def test_thousands_of_runs_are_grouped_in_a_moment():
    many = runs([IID], "a", 20_000)
    started = time.process_time()
    groups = plan_groups(many, 2)
    assert time.process_time() - started < 5  # with the square of the runs it would be minutes
    costs = [sum(updates(spec.task) for spec in group) for group in groups]
    assert max(costs) - min(costs) <= updates(IID)
