"""Exporting a policy from a finished run and using it on another task."""

SUITE = """
seeds = 1
[defaults]
dataset = "digits"
clients = 2
model = { kind = "mlp", hidden = [8] }
rounds = 2
local_epochs = 1
initial_labels = 5
query_size = 5
budget_cap = 20
shares = { state = 0.1, warm_start = 0.1, agent = 0.6, pool = 0.2 }
[tasks.a]
[tasks.b]
partition = { kind = "dirichlet", alpha = 0.5 }
"""


def test_a_policy_goes_from_one_task_to_another(falbench, tmp_path):
    (tmp_path / "suite.toml").write_text(SUITE)
    suite = ["--suite", "suite.toml"]
    code, _, err = falbench("policy", "p.npz", *suite, "--task", "a")
    assert code == 2
    assert "a, fedral, seed 0" in err
    sequential = ["--backend", "sequential"]
    assert falbench("compare", *suite, "--task", "a", "-s", "fedral", *sequential)[0] == 0
    assert falbench("policy", "p.npz", *suite, "--task", "a", "--client", "1")[0] == 0
    assert (tmp_path / "p.npz").exists()
    transfer = "fedral[mode=transfer,policy=p.npz]"
    assert falbench("compare", *suite, "--task", "b", "-s", transfer, *sequential)[0] == 0
    code, _, err = falbench("policy", "p.npz", *suite, "--task", "a", "--client", "2")
    assert code == 2
    assert "policy of client 2" in err
    (tmp_path / "p.npz").write_bytes(b"not a policy")
    code, _, err = falbench("compare", *suite, "--task", "b", "-s", transfer)
    assert code == 2
    assert "not a policy" in err
