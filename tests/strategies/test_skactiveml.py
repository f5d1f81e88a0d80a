"""Query strategies of scikit-activeml, run end to end through the adapter."""

from importlib.util import find_spec

import numpy as np
import pytest

from fal_bench import check_strategy
from fal_bench.errors import InvalidSpecError
from fal_bench.strategies.fal_margin import FalMargin
from fal_bench.strategies.skactiveml import Skactiveml
from fal_bench.task import Task

installed = pytest.mark.skipif(
    find_spec("skactiveml") is None,
    reason="scikit-activeml is not installed; run tox -e skactiveml",
)
# The library and those below it warn of what is to come in their next versions.
pytestmark = pytest.mark.filterwarnings("default")

QUERIES = ("Badge", "CoreSet", "TypiClust", "Clue", "DropQuery", "Falcun", "UncertaintySampling")


def named(query, **params):
    return Skactiveml({"query": query, **params})


@pytest.mark.skipif(find_spec("skactiveml") is not None, reason="scikit-activeml is installed")
def test_without_the_library_a_sentence_says_what_to_install(falbench):
    code, _, err = falbench("compare", "-s", "skactiveml[query=Badge]", "--suite", "smoke")
    assert code == 2
    assert "'falbench[skactiveml]'" in err
    assert len(err.splitlines()) == 1


@installed
@pytest.mark.parametrize("query", QUERIES)
def test_it_runs_from_end_to_end(query, tiny, blobs, run):
    rows = run(tiny, lambda: named(query), blobs).rows
    assert [row.labels for row in rows] == [12, 18, 24, 30]
    twin = run(tiny, lambda: named(query), blobs).rows
    assert [row.metrics["loss"] for row in rows] == [row.metrics["loss"] for row in twin]


@installed
@pytest.mark.parametrize("query", QUERIES)
def test_its_chance_is_the_clients_own(query):
    """Also where the library would leave a clustering or a tie to NumPy's global stream."""
    assert check_strategy(named(query), only=["global-random", "repeatable"]).passed


@installed
def test_margin_sampling_is_fal_margin(tiny, blobs, run):
    picks = {}

    def spying(base, label):
        class Spy(base):
            def select(self, client, budget):
                chosen = super().select(client, budget)
                key = (label, client.cycle, client.index)
                picks[key] = sorted(client.unlabelled[chosen].tolist())
                return chosen

        return Spy

    options = {"method": "margin_sampling"}
    theirs, ours = spying(Skactiveml, "theirs"), spying(FalMargin, "ours")
    run(tiny, lambda: theirs({"query": "UncertaintySampling", "options": options}), blobs)
    run(tiny, ours, blobs)
    for (label, *where), chosen in picks.items():
        assert chosen == picks[("ours", *where)], label


@installed
def test_the_local_model_can_be_asked_instead(tiny, blobs, run):
    chosen = {
        model: run(tiny, lambda model=model: named("CoreSet", model=model), blobs).charges
        for model in ("global", "local")
    }
    assert chosen["global"] != chosen["local"]


@installed
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"query": "Bagde"}, "no pool-based query strategy 'Bagde'; it has: .*Badge"),
        ({"query": "QueryByCommittee"}, "needs a committee of models"),
        ({"query": "FourDs"}, "needs a mixture model"),
        ({"query": "Badge", "options": {"x": 1}}, "no argument 'x'; it takes: "),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(params, message):
    with pytest.raises(InvalidSpecError, match=message):
        Skactiveml(params).check_task(Task())


@installed
def test_it_stands_in_the_leaderboard(compare):
    strategies = ["random", "skactiveml[query=Badge,CoreSet]"]
    result = compare(strategies, task="a", seeds=1, target_acc=0.2, backend="sequential")
    assert set(result.leaderboard["strategy"]) == {
        "random",
        "skactiveml[query=Badge]",
        "skactiveml[query=CoreSet]",
    }
    assert np.all(result.leaderboard["runs"] == 1)
