import pytest
from pydantic import ValidationError

from fal_bench.errors import InvalidSpecError
from fal_bench.plugins.built_in import MODEL, built_in
from fal_bench.plugins.functions import parameters_of
from fal_bench.task import Dirichlet, Given, ModelSpec, Shards, Shares, Task


@pytest.mark.parametrize(
    ("task", "identity"),
    [
        (Task(name="one"), {}),
        (Task(clients=4, budget_cap=80), {"clients": 4, "budget_cap": 80}),
        # Variants keep their kind.
        (
            Task(partition=Shards(classes_per_client=2)),
            {"partition": {"kind": "shards", "classes_per_client": 2}},
        ),
        (Task(model=ModelSpec(kind="cnn")), {"model": {"kind": "cnn"}}),
        (Task(model=ModelSpec(kind="mlp", hidden=())), {"model": {"kind": "mlp", "hidden": []}}),
    ],
)
def test_the_identity_leaves_out_name_and_defaults(task, identity):
    assert task.canonical == identity
    assert Task.model_validate(identity).hash == task.hash
    assert (task.hash == Task(name="two", clients=5).hash) == (not identity)


def test_released_defaults_never_change():
    """Stored keys leave defaults out, so a changed default would give old results a new meaning."""
    dump = Task().model_dump(exclude={"name"})
    assert dump == {
        "dataset": "digits",
        "partition": {"kind": "iid", "sizes": {"kind": "equal"}},
        "long_tail": 1.0,
        "clients": 5,
        "model": {"kind": "mlp"},
        "rounds": 20,
        "local_epochs": 5,
        "batch_size": 10,
        "optimiser": {
            "kind": "sgd",
            "lr": 0.1,
            "momentum": 0.0,
            "weight_decay": 0.0,
            "milestones": (),
            "gamma": 0.1,
            "schedule": "milestones",
            "state": "reset",
        },
        "initial_labels": 10,
        "query_size": 10,
        "budget_cap": 200,
        "budget": "equal",
        "allotment": {"kind": "fixed"},
        "annotators": {"kind": "right"},
        "label_cost": (),
        "max_cycles": None,
        "reset": "scratch",
        "shares": {"state": 0.0, "warm_start": 0.0, "agent": 0.0, "pool": 1.0},
        "evaluation_rounds": 1,
        "augmentation": "none",
        "aggregation": {"kind": "fedavg"},
        "participation": 1.0,
        "dropouts": 0.0,
        "twin_of": "",
    }


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("mlp", {"hidden": (128,), "dropout": 0.0}),
        ("cnn", {"channels": (16, 32), "dropout": 0.0}),
        ("cnn4", {"width": 64, "dropout": 0.0}),
        ("resnet18", {"stem": "cifar", "weights": "none"}),
    ],
)
def test_released_defaults_of_models_never_change(name, defaults):
    assert parameters_of(built_in(MODEL, name))().model_dump() == defaults


def test_equal_models_are_equal_however_they_are_written():
    written = ModelSpec(kind="cnn", channels=(16, 32), dropout=0)
    assert written == ModelSpec(kind="cnn")
    assert hash(written) == hash(ModelSpec(kind="cnn"))
    assert written.params == {}
    assert ModelSpec(kind="cnn4", width=3) != ModelSpec(kind="cnn4", width=4)


def test_json_round_trips():
    task = Task(
        partition=Dirichlet(alpha=0.1),
        model=ModelSpec(kind="cnn", channels=(4,)),
        shares=Shares(),
        name="x",
    )
    assert Task.model_validate_json(task.model_dump_json()) == task
    assert Task.model_validate_json(task.model_dump_json()).hash == task.hash


def test_the_grid_starts_at_the_initial_labels_and_ends_at_the_cap():
    task = Task(clients=5, initial_labels=20, query_size=10, budget_cap=250)
    assert task.label_grid == (100, 150, 200, 250)
    assert task.fixed_cycles == 5
    assert task.cycle_limit == 10
    assert Task(clients=1, max_cycles=99).cycle_limit == 99


@pytest.mark.parametrize(
    ("cap", "grid"),
    [(101, (100, 101)), (249, (100, 150, 200, 249)), (251, (100, 150, 200, 250, 251))],
)
def test_the_last_query_of_any_cap_may_be_shorter(cap, grid):
    task = Task(clients=5, initial_labels=20, query_size=10, budget_cap=cap)
    assert task.label_grid == grid
    assert task.looks == (*grid, cap + 50)
    assert task.fixed_cycles == len(task.looks)


def test_given_clients_follow_from_the_data():
    given = {"partition": {"kind": "given"}, "budget_cap": 90}
    task = Task(**given)
    assert task.clients == 0
    counted = task.with_clients(5)
    assert counted.label_grid == (50, 90)
    assert task.hash == counted.hash  # how many there are, the data say, which have their own hash
    assert task.problem == counted.problem
    assert Task.model_validate(counted.canonical) == counted
    assert counted.with_clients(5) is counted
    with pytest.raises(InvalidSpecError, match=r"clients is 5, .* 'digits' has 6"):
        counted.with_clients(6)
    with pytest.raises(InvalidSpecError, match=r"budget_cap 90 .* 9 clients"):
        task.with_clients(9)


@pytest.mark.parametrize(
    "more",
    [
        {"budget": "proportional"},
        {"allotment": {"kind": "server"}},
        {"allotment": {"kind": "server", "at_most": 20}},
        {"partition": {"kind": "given"}},
        {"partition": {"kind": "iid", "sizes": {"kind": "log-normal", "sigma": 1}}},
        {"partition": {"kind": "iid", "sizes": {"kind": "shares", "shares": [1, 1, 1, 1, 4]}}},
        {"partition": {"kind": "dirichlet", "alpha": 1, "balanced": True}},
    ],
)
def test_whatever_changes_numbers_is_part_of_the_identity(more):
    task = Task(**more, clients=5)
    usual = Task(partition=Dirichlet(alpha=1)) if "alpha" in str(more) else Task()
    assert task.hash != usual.hash
    assert task.problem != usual.problem
    assert Task.model_validate(task.canonical) == task
    assert task.summary


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"budget_cap": 50}, "raise it to at least 100"),
        ({"clients": 0}, "clients"),
        ({"partition": {"kind": "given", "sizes": {"kind": "equal"}}}, "Extra inputs"),
        ({"partition": {"kind": "given"}, "clients": -1}, "clients"),
        ({"partition": {"kind": "iid", "sizes": {"kind": "shares", "shares": (1, 2)}}}, "2 shares"),
        ({"partition": {"kind": "iid", "sizes": {"kind": "log-normal", "sigma": 9}}}, "sigma"),
        ({"allotment": {"kind": "server", "at_most": 3}}, "allotment.at_most"),
        ({"max_cycles": 3}, "at least 5"),
        ({"evaluation_rounds": 21}, "at most rounds"),
        ({"shares": {"state": 0.5}}, "add up to 1"),
        ({"partition": {"kind": "dirichlet", "alpha": 0}}, "greater than or equal"),
        ({"clientz": 3}, "Extra inputs"),
        ({"optimiser": {"lr": float("nan")}}, "finite number"),
    ],
)
def test_impossible_tasks_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Task(**fields)


def test_a_task_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Task().clients = 3


def test_summaries_say_what_matters():
    assert Task().summary.split(", ")[:4] == ["digits", "5 clients", "IID", "mlp"]
    task = Task(partition=Dirichlet(alpha=0.1), long_tail=20)
    assert {"Dirichlet alpha 0.1", "long tail 20"} <= set(task.summary.split(", "))
    assert "2 classes a client" in Task(partition=Shards(classes_per_client=2)).summary


def test_a_copy_with_other_values_is_another_task():
    task = Task()
    assert task.hash == task.model_copy(update={"name": "renamed"}).hash
    wider = task.model_copy(update={"clients": 4, "budget_cap": 400})
    assert wider.hash == Task(clients=4, budget_cap=400).hash != task.hash
    assert wider.canonical == Task(clients=4, budget_cap=400).canonical


def test_until_given_clients_are_counted_the_cap_alone_is_known():
    task = Task(partition=Given(), budget_cap=300)
    assert (task.clients, task.label_grid, task.looks) == (0, (300,), (300, 301))
    assert task.with_clients(3).label_grid[:2] == (30, 60)
