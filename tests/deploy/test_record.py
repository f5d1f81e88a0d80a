"""The curve of a real federation beside simulated ones: its labels and its bytes on one bill."""

import re

import pytest
from stored import spec, store_run

from fal_bench.deploy.server import Server

SUITE = """
[tasks.three-sites]
dataset = "digits"
clients = 3
partition = { kind = "dirichlet", alpha = 0.5 }
model = { kind = "mlp", hidden = [4] }
rounds = 1
local_epochs = 1
initial_labels = 3
query_size = 2
budget_cap = 15
"""


def test_a_record_is_imported_beside_simulated_runs(federation, calls, falbench, tmp_path):
    task = {"name": "three-sites", "rounds": 1, "budget_cap": 15}
    agreed = federation("random", task=task, evaluation_labels=30)
    link = calls(agreed, tmp_path / "sites")
    cycles = Server(agreed, link, tmp_path / "server", say=lambda line: None).run()
    for seed in range(3):
        store_run(tmp_path / "results", spec(seed=seed, task=agreed.task))
    (tmp_path / "suite.toml").write_text(SUITE)
    given = ["--suite", "suite.toml"]
    code, out, error = falbench("import", "server/curves.csv", *given, "--out", "results")
    assert (code, "random (external)" in out) == (0, True), error
    code, out, error = falbench("report", "results", *given, "--target", "0.99")
    assert code == 0, error
    [row] = [line for line in out.splitlines() if line.strip(" -").startswith("random (external)")]
    assert re.findall(r">(\d+)", row)[0] == str(cycles[-1].paid) == "45"
    page = (tmp_path / "results" / "leaderboard.html").read_text()
    [costs] = re.findall(
        r"<table[^>]*>(?:(?!</table>).)*MB sent(?:(?!</table>).)*", page, re.DOTALL
    )
    cells = re.search(r"random \(external\)(.*?)</tr>", costs, re.DOTALL)[1]
    sent = sum(one.bytes_up + one.bytes_down for one in cycles)
    assert float(re.search(r"data-value=\"([\d.e-]+)", cells)[1]) == pytest.approx(sent / 1e6)
