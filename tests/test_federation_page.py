"""The page on one's own federation, run as it is written."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fal_bench import check_strategy
from fal_bench.data.loading import load_dataset
from fal_bench.errors import InvalidSpecError
from fal_bench.federation.setting import Setting
from fal_bench.plugins.registry import Registry
from fal_bench.reporting.budgets import read_runs
from fal_bench.reporting.context import ReportContext, TaskFacts
from fal_bench.strategies.allotted_margin import AllottedMargin
from fal_bench.strategies.fal_margin import FalMargin
from fal_bench.sweep.plan import Plan
from fal_bench.task import Task
from fal_bench.task.suite import load_suite

PAGE = (Path(__file__).parents[1] / "docs" / "your-federation.md").read_text()
FILES = dict(re.findall(r"```(?:toml|python)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
HOSPITALS = (900, 700, 500, 200, 29, 1)


@pytest.fixture
def files(folders):
    for name, text in FILES.items():
        (folders.data / name).write_text(text)
    return folders.data


@pytest.fixture
def photos(files):
    """Light and dark images of six hospitals; the smallest ones lack a class."""
    images = []
    for value in (50, 200):
        file = io.BytesIO()
        Image.fromarray(np.full((2, 2), value, dtype=np.uint8)).save(file, "png")
        images.append(file.getvalue())
    for client, count in enumerate(HOSPITALS):
        for number in range(count):
            label = number % 2
            place = files / "photos" / "train" / f"h{client}" / ("dark", "light")[label]
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number}.png").write_bytes(images[label])
    for name, image in zip(("dark", "light"), images, strict=True):
        place = files / "photos" / "test" / name
        place.mkdir(parents=True)
        (place / "0.png").write_bytes(image)
    return files


def test_ten_lines_are_ten_lines():
    assert len(FILES["hospitals.toml"].strip().splitlines()) <= 10


def test_hospitals_label_as_much_as_their_sizes_say(photos):
    suite = str(photos / "hospitals.toml")
    [planned] = Plan.make("fal-margin", suite=suite, seeds=1).runs
    task = planned.task
    assert task.clients == 6
    assert task.looks == (60, 360, 660, 960, 1260, 1560, 1860, 2000, 2300)
    setting = Setting.draw(task, 0, load_dataset(task.dataset))
    for cycle in range(len(task.looks) - 1):
        bought = setting.grants.granted(cycle) + [len(own) for own in setting.initial]
        expected = np.array(HOSPITALS) / sum(HOSPITALS) * task.looks[cycle + 1]
        assert np.abs(bought - expected).max() <= 1
        assert bought[-1] == 1


def test_drawn_federations_are_as_they_are_called(files):
    dataset = load_dataset("digits")
    for task in load_suite(str(files / "drawn.toml")).tasks:
        setting = Setting.draw(task, 0, dataset)
        sizes = np.array([own.samples for own in setting.shares])
        assert (sizes.max() > 2 * sizes.min()) == (task.name != "skewed-as-in-the-papers")
        assert setting.grants.granted(task.fixed_cycles).sum() == task.looks[-1] - task.looks[0]


def test_a_server_divides_the_labels(files, run):
    [task] = load_suite(str(files / "allotted.toml")).tasks
    dataset = load_dataset("digits")
    quick = task.model_copy(update={"rounds": 6, "local_epochs": 2})
    allotted, usual = (run(quick, kind, dataset).rows for kind in (AllottedMargin, FalMargin))
    assert [row.labels for row in allotted] == [row.labels for row in usual] == [50, 150, 250, 350]
    bought = [np.array(row.labels_by_client.split(), dtype=int) for row in allotted]
    assert len(set(bought[-1])) > 1
    assert np.diff(bought, axis=0).max() <= 40
    assert usual[1].labels_by_client == "30 30 30 30 30"


def test_annotators_are_wrong_as_the_page_says(files):
    noisy, confused = load_suite(str(files / "annotators.toml")).tasks
    truth = load_dataset("digits").train_labels.numpy()
    for task, classes in ((noisy, range(10)), (confused, (3, 8))):
        setting = Setting.draw(task, 0, load_dataset("digits"))
        wrong = setting.votes(0) != truth
        assert set(truth[wrong]) == set(classes)
        assert wrong.mean() == pytest.approx(0.1 if task is noisy else 0.05, abs=0.02)


@pytest.fixture
def second_votes(files):
    return Registry.discover([files / "second_votes.py"]).load("second-votes")


def test_a_strategy_that_asks_again_keeps_the_contract(second_votes):
    report = check_strategy(second_votes)
    assert report.passed, report.text


def test_asking_again_makes_noisy_labels_better_at_the_same_price(files, run, second_votes):
    [noisy, _] = load_suite(str(files / "annotators.toml")).tasks
    fields = {"annotators": {"kind": "noisy", "rate": 0.3}, "rounds": 3, "budget_cap": 120}
    task = type(noisy).model_validate({**noisy.model_dump(), **fields})
    dataset = load_dataset("digits")
    truth = dataset.train_labels.numpy()
    asking, plain = (run(task, kind, dataset) for kind in (second_votes, FalMargin))
    assert [row.labels for row in asking.rows] == [row.labels for row in plain.rows]
    votes = [charge for charge in asking.charges if charge[2] == "further-vote"]
    assert votes
    ledger = Setting.draw(task, 0, dataset).open_ledger()
    ledger.restore(asking.charges)
    wrong = [0, 0]  # of samples with three votes: by the first vote, and by all
    for sample in {sample for _, sample, _, _ in votes}:
        said = ledger.votes(sample)
        owner = next(client for client, one, _, _ in votes if one == sample)
        wrong[0] += said[0] != truth[sample]
        wrong[1] += ledger.labels(owner, np.array([sample]))[0] != truth[sample]
    assert wrong[1] < wrong[0]


def test_raters_of_the_user_answer(files, folders, run):
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=120)
    votes = np.where(rng.random((120, 4)) < 0.7, labels[:, None], 0)
    votes[rng.random(votes.shape) < 0.3] = -1
    votes[(votes < 0).all(axis=1), 2] = 1
    arrays = {"images": rng.normal(size=(120, 5)), "labels": labels}
    parts = {
        f"{part}_{name}": array for part in ("train", "test") for name, array in arrays.items()
    }
    np.savez(files / "rated.npz", train_votes=votes, **parts)
    [task] = load_suite(str(files / "raters.toml")).tasks
    setting = Setting.draw(task, 0, load_dataset(task.dataset))
    rows = setting.dataset.train_votes
    for number in range(5):
        heard = setting.votes(number)
        assert ((heard >= 0) == ((rows >= 0).sum(axis=1) > number)).all()
    all_heard = np.stack([setting.votes(number) for number in range(4)], axis=1)
    assert np.sort(all_heard, axis=1).tolist() == np.sort(rows, axis=1).tolist()


def test_boards_can_be_ranked_by_what_labels_cost(files, falbench):
    arguments = ["--suite", files / "priced.toml", "-s", "random,allotted-margin", "--seeds", 1]
    arguments += ["--target-acc", 0.2, "--backend", "sequential"]
    code, _, err = falbench("compare", *arguments, "--accounting", "cost")
    assert code == 0, err
    board = pd.read_csv("results/leaderboard.csv").set_index("strategy")
    assert set(board["accounting"]) == {"cost"}
    curves = pd.read_csv("results/curves.csv")
    by_client = np.array([own.split() for own in curves["labels_strict_by_client"]], dtype=int)
    costs = curves["labels_cost"].to_numpy()
    assert costs.tolist() == (by_client @ [3, 1, 0.5, 1]).tolist()
    for name, mine in curves.groupby("strategy"):
        cost, strict = board.loc[name, ["labels", "labels_strict"]]
        expected = np.interp(strict, mine["labels_strict"], mine["labels_cost"])
        assert cost == pytest.approx(expected)
        assert cost != strict


def test_without_prices_cost_is_strict_labels():
    facts = TaskFacts("t", (10, 20, 30), 10, 90, "")
    curve = pd.DataFrame({"labels": [10, 18, 28, 40], "labels_strict": [12, 20, 33, 45]})
    curve = curve.assign(task="t", strategy="s", seed=0, cycle=range(4), accuracy=0.3)
    context = ReportContext("t", 0.5, "cost", "s", ("s",), (0,), (facts,), (), "", "")
    [run] = read_runs(curve, context).values()
    assert run.axes["cost"].tolist() == run.axes["strict"].tolist()
    assert run.caps["cost"] == run.caps["strict"] == 35
    [run] = read_runs(curve, replace(context, tasks=(replace(facts, priced=True),))).values()
    assert "cost" not in run.axes


@pytest.mark.parametrize("price", [0, -1, float("nan"), float("inf"), "2", True, 1e300])
def test_prices_that_are_none_are_refused(price):
    with pytest.raises(ValueError, match="client 'North'"):
        Task.model_validate({"label_cost": {"North": price}})


def test_prices_are_of_clients_that_are_there_and_change_no_draw(files):
    dataset = load_dataset("digits")
    plain, priced, same, wrong = (
        Task.model_validate({"label_cost": table})
        for table in ({}, {"4": 2, "1": 1}, {"1": 1.0}, {"5": 2.0})
    )
    assert same.hash == plain.hash == Task().hash != priced.hash
    assert priced.problem == plain.problem
    assert Task.model_validate(json.loads(json.dumps(priced.canonical))).hash == priced.hash
    assert Setting.draw(priced, 0, dataset).prices.tolist() == [1, 1, 1, 1, 2]
    with pytest.raises(InvalidSpecError, match="'5'"):
        Setting.draw(wrong, 0, dataset)
