"""A large report: twenty strategies, six tasks, eight seeds, from stored runs."""

import time

import numpy as np
import pytest
from stored import TINY, spec, store_run

from fal_bench.api import report
from fal_bench.reporting.page import render_page

TASKS = [
    TINY.model_copy(
        update={"clients": clients, "budget_cap": clients * 5 * 11, "name": f"task-{clients}"}
    )
    for clients in range(2, 8)
]
SEEDS, SECONDS, MEGABYTES = 8, 7, 6  # 4.5 to 5.7 s on one machine within an hour


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """960 finished runs of eleven evaluations, with crossings that scatter."""
    root = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    names = ["random", *(f"strategy-with-a-name[k={number}]" for number in range(19))]
    for task in TASKS:
        for number, name in enumerate(names):
            for seed in range(SEEDS):
                rise = 0.06 + 0.001 * number + 0.01 * rng.random()
                values = [0.1 + rise * cycle for cycle in range(task.fixed_cycles)]
                store_run(root, spec(name, seed, task=task), accuracies=values)
    return root


def test_it_is_built_fast_and_stays_small(root):
    taken = []
    while len(taken) < 2 and min(taken, default=SECONDS) >= SECONDS:  # again on a busy machine
        started = time.process_time()
        found = report(root, target_acc=(0.4, 0.5))
        html = render_page(found)
        taken.append(time.process_time() - started)
    seconds = min(taken)
    assert found.missing == ()
    assert len(found.leaderboard) == 2 * 20
    assert len(found.curves) == 6 * 20 * SEEDS * 12
    assert html.count('class="plot"') == 6 + 3 + 2 * (1 + 2)  # two figures of each target
    print(f"{seconds:.1f} s of processor time, {len(html.encode()) / 1e6:.2f} MB")
    assert seconds < SECONDS
    assert len(html.encode()) < MEGABYTES * 1e6
