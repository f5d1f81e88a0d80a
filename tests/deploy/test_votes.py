"""Two people label each sample, and a third one decides where they differ."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fal_bench.deploy.config import read_site
from fal_bench.deploy.labels import LabelStore
from fal_bench.deploy.messages import DeploymentError
from fal_bench.deploy.server import Server

CLASSES = 3
PEOPLE = ("ann", "ben", "cem", "dora")


@pytest.fixture
def store(tmp_path):
    made = LabelStore(tmp_path, votes=2)
    made.ask([3, 5], "initial", 0)
    return made


def shown(store, annotator):
    return [one.sample for one in store.pending_for(annotator)]


def say(store, annotator, *labels):
    return store.answer(labels, annotator, CLASSES)


def test_two_who_agree_are_enough_and_nobody_sees_a_sample_twice(store):
    assert shown(store, "ann") == shown(store, "ben") == [3, 5]
    say(store, "ann", (3, 1))
    assert (shown(store, "ann"), shown(store, " ANN "), shown(store, "ben")) == ([5], [5], [3, 5])
    assert store.labels(9)[3] == -1
    say(store, "ben", (3, 1))
    assert store.labels(9)[3] == 1
    assert [shown(store, who) for who in PEOPLE] == [[5], [5], [5], [5]]
    assert store.paid() == 4


def test_where_two_differ_a_third_person_decides(store):
    say(store, "ann", (3, 1), (5, 0))
    say(store, "ben", (3, 2), (5, 0))
    assert [(one.sample, one.purpose) for one in store.pending()] == [(3, "adjudication")]
    assert [shown(store, who) for who in PEOPLE] == [[], [], [3], [3]]
    say(store, "cem", (3, 0))
    assert store.labels(9)[[3, 5]].tolist() == [0, 0]
    assert (store.pending(), store.paid()) == ([], 5)
    assert [(one.annotator, one.purpose) for one in store.history() if one.sample == 3] == [
        ("ann", "initial"), ("ben", "second-vote"), ("cem", "adjudication")
    ]  # fmt: skip
    with pytest.raises(DeploymentError, match="dora"):
        say(store, "dora", (3, 2))


def test_a_person_who_answers_again_corrects_their_own_vote(store):
    say(store, "ann", (3, 1))
    say(store, "ben", (3, 2))
    assert say(store, "ann", (3, 2)) == 1
    assert store.labels(9)[3] == 2
    assert [one.sample for one in store.pending()] == [5, 5]
    assert store.paid() == 4  # nobody was asked to decide in the end


def test_a_vote_that_is_taken_back_is_asked_again(store):
    say(store, "ann", (3, 1))
    say(store, "ben", (3, 2))
    with pytest.raises(DeploymentError, match="--vote"):
        store.take_back(3, "dora")
    store.take_back(3, "ben")
    assert [shown(store, who) for who in ("ann", "ben")] == [[5], [3, 5]]
    say(store, "ben", (3, 1))
    assert store.labels(9)[3] == 1


def test_named_adjudicators_decide_and_do_nothing_else(tmp_path):
    store = LabelStore(tmp_path, votes=2, adjudicators=["Dora"])
    store.ask([3], "initial", 0)
    assert shown(store, "dora") == []
    with pytest.raises(DeploymentError, match="dora"):
        say(store, "dora", (3, 1))
    say(store, "ann", (3, 1))
    say(store, "ben", (3, 2))
    assert (shown(store, "cem"), shown(store, "dora")) == ([], [3])
    say(store, "dora", (3, 2))
    assert store.labels(9)[3] == 2


def test_no_decision_is_open_where_two_agree_in_the_end(store):
    say(store, "ann", (3, 1), (5, 0))
    say(store, "ben", (3, 2), (5, 0))
    say(store, "cem", (3, 2))
    store.take_back(3, "cem")
    assert [one.purpose for one in store.pending()] == ["adjudication"]
    say(store, "ann", (3, 2))
    assert (store.pending(), store.labels(9)[3], store.paid()) == ([], 2, 5)
    with pytest.raises(DeploymentError, match="needs no vote"):
        say(store, "dora", (3, 1))
    say(store, "ann", (3, 1))
    assert [one.purpose for one in store.pending()] == ["adjudication"]


votes = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE), st.integers(0, 2), st.one_of(st.integers(0, 2), st.just("back"))
    ),
    max_size=15,
)


@settings(max_examples=10)
@given(votes)
def test_every_label_has_two_people_or_three(tmp_path_factory, votes):
    store = LabelStore(tmp_path_factory.mktemp("store"), votes=2)
    store.ask(range(3), "pool", 1)
    for who, sample, what in votes:
        try:
            if what == "back":
                store.take_back(sample, who)
            else:
                say(store, who, (sample, what))
        except DeploymentError:
            continue
    now = {}
    for one in store.history():
        now[one.sample, one.vote] = one
    open_now = {one.sample for one in store.pending()}
    for sample, label in enumerate(store.labels(3).tolist()):
        said = [one for one in now.values() if one.sample == sample and one.label is not None]
        assert len({one.annotator for one in said}) == len(said)
        assert (label == -1) == (sample in open_now)
        if label != -1:
            assert sum(one.label == label for one in said) > 1 or len(said) == 3
    assert 6 <= store.paid() <= 9


def test_the_votes_of_a_site_are_on_the_bill_and_leave_the_budget(federation, calls, tmp_path):
    agreed = federation(
        task={"budget_cap": 15, "rounds": 1, "annotators": {"kind": "noisy", "rate": 0.4}}
    )

    class Careful(calls):
        def start(self, name):
            site = super().start(name)
            site.store = LabelStore(self.folder / name, votes=2)
            return site

    link = Careful(agreed, tmp_path)
    [*_, last] = Server(agreed, link, tmp_path / "server", say=lambda line: None).run()
    stores = [link.site(name).store for name in agreed.sites]
    purposes = [one[2] for store in stores for one in store.charges()]
    assert last.labels == 15 == purposes.count("second-vote")
    assert last.paid == sum(store.paid() for store in stores) == len(purposes)
    assert 0 < purposes.count("adjudication") < 15
    assert all(
        len({one.annotator for one in store.history() if one.sample == sample}) >= 2
        for store in stores
        for sample in {one[0] for one in store.charges()}
    )


def test_a_further_vote_of_a_strategy_needs_somebody_else(tmp_path):
    store = LabelStore(tmp_path)
    store.ask([3], "initial", 0)
    say(store, "ann", (3, 1))
    for _ in range(2):
        store.ask_again(3, 1, 2)
    assert (shown(store, "ann"), shown(store, "ben")) == ([], [3])
    say(store, "ben", (3, 2))
    assert (store.labels(9)[3], store.further(1, 9)[3], store.paid()) == (1, 2, 2)


@pytest.mark.parametrize(
    ("lines", "culprit"),
    [
        ("votes = 3", "votes"),
        ('adjudicators = ["dora"]', "votes = 2"),
        ('votes = 2\nadjudicators = ["  "]', "adjudicators"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(tmp_path, lines, culprit):
    path = tmp_path / "north.toml"
    path.write_text(
        f'name = "north"\nstore = "s"\ndata = {{ kind = "arrays", path = "x" }}\n{lines}'
    )
    with pytest.raises(DeploymentError, match=culprit):
        read_site(path)


def test_what_people_are_given_is_theirs(desk_with, tmp_path):
    desk = desk_with("votes = 2")
    assert desk.table().count("\n") == 1 + 3
    desk.answer(3, "dog", "ann")
    assert (desk.export(tmp_path / "ann", "ann"), desk.export(tmp_path / "all")) == (2, 3)
    pictures = sorted(path.name for path in (tmp_path / "ann" / "unsorted").iterdir())
    assert pictures == ["5.png", "7.png"]
