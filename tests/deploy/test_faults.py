"""What goes wrong in a real federation: nothing is lost, and nothing is bought twice."""

import csv
import json

import numpy as np
import pytest

from fal_bench.deploy.computing import loaded
from fal_bench.deploy.config import Federation
from fal_bench.deploy.messages import DeploymentError, Message
from fal_bench.deploy.server import Record, Server
from fal_bench.plugins.registry import Registry, use_registry

QUIET = {"say": lambda line: None}


DEATHS = {1, 3, 6, 10, 15, 21, 26, 32}
"""After which messages the server dies."""


NAMES = ("north", "south", "east")
TRAINER = '''
from fal_bench import Trainer


class Mine(Trainer):
    """Cross-entropy times a number."""

    name = "mine"

    def losses(self, logits, batch):
        said = logits.log_softmax(-1).gather(-1, batch.labels.unsqueeze(-1))
        return -FACTOR * said.squeeze(-1)
'''


class KilledError(Exception):
    """Stands for the end of a process."""


def charges(link):
    return {name: link.start(name).store.charges() for name in link.federation.sites}


@pytest.fixture
def undisturbed(federation, calls, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    link = calls(federation("fairfal"), folder)
    cycles = Server(link.federation, link, folder / "server", **QUIET).run()
    return cycles, charges(link)


def test_a_server_and_sites_that_are_killed_anywhere_go_on(
    federation, calls, tmp_path, undisturbed
):
    agreed = federation("fairfal")
    asked = {"count": 0}

    class Dying(calls):
        """Every message comes twice; after some the server dies, after all the site does."""

        def ask(self, verb, messages):
            for name, message in messages.items():
                self.start(name).answer(verb, message)
            asked["count"] += 1
            if asked["count"] in DEATHS:
                raise KilledError
            self.sites.clear()
            return super().ask(verb, messages)

    link, deaths = Dying(agreed, tmp_path), 0
    while True:
        try:
            cycles = Server(agreed, link, tmp_path / "server", **QUIET).run()
        except KilledError:
            deaths += 1
        else:
            break
    assert deaths == len(DEATHS)
    expected, bought = undisturbed
    assert charges(link) == bought
    for one, other in zip(cycles, expected, strict=True):
        assert (one.labels, one.paid, one.bytes_up) == (other.labels, other.paid, other.bytes_up)


def test_the_bill_of_the_server_is_that_of_the_label_stores(federation, calls, tmp_path):
    agreed = federation(evaluation_labels=30)
    link = calls(agreed, tmp_path)
    cycles = Server(agreed, link, tmp_path / "server", **QUIET).run()
    stores = [link.site(name).store for name in agreed.sites]
    assert cycles[-1].paid == sum(store.paid() for store in stores) == 21 + 30
    purposes = [one[2] for store in stores for one in store.charges()]
    assert purposes.count("evaluation") == 30 == cycles[-1].accuracy.total
    for store in stores:
        evaluated, trained = (
            {one[0] for one in store.charges() if (one[2] == "evaluation") is kind}
            for kind in (True, False)
        )
        assert not evaluated & trained
    curves = (tmp_path / "server" / "curves.csv").read_text()
    rows = list(csv.DictReader(curves.splitlines()))
    assert [int(row["labels_strict"]) for row in rows] == [one.paid for one in cycles]
    record = json.loads((tmp_path / "server" / "record.json").read_text())
    low, high = record["cycles"][-1]["accuracy"]["interval"]
    assert low < record["cycles"][-1]["accuracy"]["accuracy"] < high


def test_no_sample_and_no_label_is_in_any_message(federation, calls, tmp_path):
    agreed = federation("fairfal", evaluation_labels=30)
    link = calls(agreed, tmp_path)
    Server(agreed, link, tmp_path / "server", **QUIET).run()
    for verb, name, question, reply in link.messages:
        store, samples = link.site(name).store, link.site(name).samples
        rows = samples.features.reshape(len(samples.names), -1)
        labels = store.labels(len(rows))
        allowed = {"hello": {"site", "samples"}, "train": {"samples"}, "select": {"bought"}}
        allowed |= {"evaluate": {"right", "total"}}
        assert set(reply.facts) <= allowed.get(verb, {"open", "samples", "labels", "paid"})
        for part in (question, reply):
            for array in part.arrays.values():
                parts = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
                if parts.shape[1] == rows.shape[1]:
                    assert not (parts[:, None] == rows[None]).all(axis=2).any()
                if array.dtype.kind in "iu" and array.size >= 3:
                    assert array.ravel().tolist() != labels[labels >= 0].tolist()
    lines = (tmp_path / "north" / "messages.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    assert sum(one["bytes"] for one in log) == sum(
        part.nbytes for _, name, *both in link.messages if name == "north" for part in both
    )


def test_people_who_take_their_time_and_labels_that_are_taken_back_are_waited_for(
    federation, calls, tmp_path
):
    rng = np.random.default_rng(0)
    data = {}
    for name in ("north", "south", "east"):
        np.savez(tmp_path / f"{name}.npz", samples=rng.random((20, 8, 8))[:, None])
        data[name] = {"kind": "arrays", "path": tmp_path / f"{name}.npz"}
    agreed = federation()
    said = []

    class People(calls):
        """One label a look, and the first one of all is taken back once."""

        def ask(self, verb, messages):
            replies = super().ask(verb, messages)
            for name in messages if verb == "status" else ():
                store = self.site(name).store
                for one in store.pending()[:1]:
                    store.answer([(one.sample, one.sample % 10)], "ann", 10)
                    if len(store.history()) == 1:
                        store.take_back(one.sample, "ann")
            return replies

    link = People(agreed, tmp_path, data)
    cycles = Server(agreed, link, tmp_path / "server", say=said.append).run()
    assert cycles[-1].labels == 21
    assert any("north" in line and "Waiting" in line for line in said)
    history = link.site("north").store.history()
    assert len({one.sample for one in history}) == 7
    assert len(history) == 7 + 2


def test_other_data_or_settings_are_refused(federation, calls, tmp_path):
    agreed = federation()
    link = calls(agreed, tmp_path)
    Server(agreed, link, tmp_path / "server", **QUIET).run()
    other = federation("fal-margin")
    with pytest.raises(DeploymentError, match="server"):
        Server(other, link, tmp_path / "server", **QUIET)
    with pytest.raises(DeploymentError, match="north"):
        Server(other, link, tmp_path / "elsewhere", **QUIET).run()
    np.savez(tmp_path / "north.npz", samples=np.ones((20, 1, 8, 8)))
    link.data["north"] = {"kind": "arrays", "path": tmp_path / "north.npz"}
    reply = link.start("north").answer("hello", Message({"digest": agreed.digest}))
    assert "data" in reply.facts["error"]


@pytest.mark.parametrize(
    ("strategy", "values", "culprit"),
    [
        ("oracle-greedy", {}, "reference"),
        ("fedral", {}, "fedral"),
        ("random", {"task": {"dropouts": 0.2}}, "dropouts"),
        ("random", {"task": {"shares": {"pool": 0.5, "state": 0.5}}}, "shares"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_starts(
    federation, calls, tmp_path, strategy, values, culprit
):
    agreed = federation(strategy, **values)
    link = calls(agreed, tmp_path / "sites")
    with pytest.raises(DeploymentError, match=culprit):
        Server(agreed, link, tmp_path / "server", **QUIET)
    assert not link.messages


def test_a_strategy_that_buys_labels_waits_for_people(federation, calls, tmp_path, monkeypatch):
    from fal_bench.strategies.random import Random

    bought = []

    def select(self, client, budget):
        bought.append(client.buy(client.unlabelled[:2], "validation").tolist())
        client.ask_again(client.labelled[:1])
        return np.arange(budget - 1)

    monkeypatch.setattr(Random, "select", select)
    agreed = federation()
    link = calls(agreed, tmp_path)
    cycles = Server(agreed, link, tmp_path / "server", **QUIET).run()
    assert cycles[-1].labels == 21
    purposes = [one[2] for one in link.site("north").store.charges()]
    assert {"initial", "pool", "validation", "further-vote"} == set(purposes)
    assert all(len(labels) == 2 for labels in bought)


def test_a_further_vote_takes_no_sample_off_what_a_site_may_buy(
    federation, calls, tmp_path, monkeypatch
):
    from fal_bench.strategies.random import Random

    def select(self, client, budget):
        client.ask_again(client.labelled[:1])
        return np.arange(budget - 1)

    monkeypatch.setattr(Random, "select", select)
    data = {}
    for name in NAMES:
        np.savez(tmp_path / f"{name}.npz", samples=np.random.default_rng(0).random((20, 1, 8, 8)))
        data[name] = {"kind": "arrays", "path": tmp_path / f"{name}.npz"}

    class Quick(calls):
        """People who answer at once."""

        def ask(self, verb, messages):
            for name in messages:
                store = self.site(name).store
                for one in store.pending():
                    store.answer([(one.sample, 1)], f"person {one.vote}", 10)
            return super().ask(verb, messages)

    agreed = federation(task={"allotment": {"kind": "server"}})
    link = Quick(agreed, tmp_path, data)
    Server(agreed, link, tmp_path / "server", **QUIET).run()
    asked = [(name, one.facts) for verb, name, one, _ in link.messages if verb == "select"]
    assert {facts["cycle"] for _, facts in asked} == {0, 1}
    for name, facts in asked:
        charges = link.site(name).store.charges()
        labelled = {
            sample
            for sample, _, purpose, cycle in charges
            if purpose == "initial" or (purpose == "pool" and cycle < facts["cycle"])
        }
        assert facts["limits"][agreed.number(name)] == 20 - len(labelled)
    assert any(one[2] == "further-vote" for one in link.site("north").store.charges())


@pytest.mark.parametrize("name", ["state.npz", "round.npz", "record.json"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half of one", b"[1]", b"\xff"])
def test_a_damaged_file_of_the_server_is_named(federation, calls, tmp_path, name, content):
    agreed = federation()
    Server(agreed, calls(agreed, tmp_path / "sites"), tmp_path / "server", **QUIET).run()
    (tmp_path / "server" / name).write_bytes(content)

    def read():
        record = Record(tmp_path / "server", agreed)
        record.state()
        record.round(0)

    with pytest.raises(DeploymentError, match=name):
        read()


def test_half_of_what_a_site_remembers_is_named(tmp_path):
    path = tmp_path / "round-000000-000000.npz"
    np.savez(path, weights=np.ones(100))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DeploymentError, match="damaged"):
        loaded(path)


def test_the_code_of_a_trainer_of_ones_own_is_agreed_on(federation, tmp_path):
    path, digests = tmp_path / "mine.py", []
    for factor in (1, 2):
        path.write_text(TRAINER.replace("FACTOR", str(factor)))
        with use_registry(Registry.discover([path])):
            digests.append(federation("random[trainer=mine]").digest)
            agreed = federation("random")._agreed()
    assert digests[0] != digests[1]
    assert "trainer" not in agreed  # so that federations that run already keep their digest


def test_a_wrong_file_is_named_with_its_key(federation):
    with pytest.raises(ValueError, match="clients"):
        Federation.model_validate(federation().model_dump() | {"sites": ("north",)})
