"""Label Studio: its files in the default run, its server in ``tox -e label-studio``."""

import json
import socket
from pathlib import Path

import pytest

from fal_bench.deploy.label_studio import INTERFACE, KEY, TASKS, LabelStudio, read_file
from fal_bench.deploy.messages import DeploymentError
from fal_bench.errors import FalbenchError


def said(number, sample, label, who, at="2026-01-01T00:00:00Z"):
    """Return a task with one annotation, as Label Studio exports it."""
    value = {"type": "choices", "from_name": "label", "to_name": "shown"}
    value |= {"value": {"choices": [label]}}
    annotation = {"id": number, "completed_by": who, "result": [value], "updated_at": at}
    return {"id": number, "data": {"sample": sample}, "annotations": [annotation]}


@pytest.fixture
def given(tmp_path):
    """Return a function that writes an export of Label Studio."""

    def write(*tasks):
        path = tmp_path / "export.json"
        path.write_text(json.dumps(tasks))
        return path

    return write


def test_tasks_have_the_picture_and_a_score_in_the_order_of_the_questions(desk, falbench, tmp_path):
    site, federation = tmp_path / "north.toml", tmp_path / "federation.toml"
    out = tmp_path / "out"
    asked = ["labels", "export", site, out, "--to", "label-studio", "--federation", federation]
    assert falbench(*asked)[0] == 0
    tasks = json.loads((out / TASKS).read_text())
    assert [one["data"]["sample"] for one in tasks] == [3, 5, 7]
    scores = [one["predictions"][0]["score"] for one in tasks]
    assert scores == sorted(set(scores), reverse=True)
    assert tasks[0]["data"]["image"].startswith("data:image/png;base64,")
    assert (out / INTERFACE).read_text().count("<Choice ") == 2


def test_annotations_come_in_once_and_stay_taken_back(desk, given):
    path = given(said(1, 3, "dog", {"email": "ann@example.org"}), said(2, 5, "cat", 7))
    assert read_file(desk, path).changed == 2
    assert [one.annotator for one in desk.store.history()] == [
        "ann@example.org", "Label Studio user 7"
    ]  # fmt: skip
    desk.store.take_back(3, "ann@example.org")
    assert read_file(desk, path).changed == 0
    assert [one.sample for one in desk.store.pending()] == [3, 7]
    later = said(1, 3, "cat", {"email": "ann@example.org"}, "2026-01-02T00:00:00Z")
    assert read_file(desk, given(later)).changed == 1
    assert desk.store.labels(9)[3] == 0


def test_what_was_not_asked_or_is_not_needed_is_left_out(desk_with, given):
    desk = desk_with("votes = 2")
    people = [said(number, 3, "dog", number) for number in (1, 2, 3)]
    taken = read_file(desk, given(*people, said(4, 8, "dog", 1), {"data": {}, "annotations": []}))
    assert (taken.changed, taken.left) == (2, 2)
    assert desk.store.labels(9)[[3, 8]].tolist() == [1, -1]


@pytest.mark.parametrize("content", ['{"a": 1}', "[1]", '[{"data": {"sample": 3}}]', "x"])
def test_a_file_that_is_no_export_is_named(desk, tmp_path, content):
    (tmp_path / "wrong.json").write_text(content)
    with pytest.raises(FalbenchError, match=r"wrong\.json"):
        read_file(desk, tmp_path / "wrong.json")


def test_a_class_that_is_none_is_named(desk, given):
    with pytest.raises(DeploymentError, match="cow"):
        read_file(desk, given(said(1, 3, "cow", 1)))


def test_a_server_that_is_not_there_or_no_token_is_one_sentence(
    desk, falbench, tmp_path, monkeypatch
):
    site, federation = tmp_path / "north.toml", tmp_path / "federation.toml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        asked = ["labels", "import", site, address, "--federation", federation]
        for key, culprit in (("", KEY), ("token", address)):
            monkeypatch.setenv(KEY, key)
            code, _, error = falbench(*asked)
            assert (code, error.count("\n")) == (2, 1)
            assert culprit in error


class Recorded(LabelStudio):
    """A server that keeps tasks and changes in memory."""

    def __init__(self):
        self._address = "http://127.0.0.1:1"
        self.tasks, self.overlaps = [], {}

    def _call(self, method, path, content=None):
        if method == "PATCH":
            self.overlaps[int(path.split("/")[1])] = content["overlap"]
        elif path.endswith("/import"):
            self.tasks += [{"id": one["data"]["sample"], "data": one["data"]} for one in content]
        return {"id": 1, "total": len(self.tasks), "tasks": self.tasks}


def test_a_task_is_shown_to_as_many_people_as_there_are_votes(desk_with):
    desk, server = desk_with("votes = 2"), Recorded()
    server.send(desk)
    for sample, labels in {3: ("dog", "cat"), 5: ("dog", "dog"), 7: ("dog", "cat", "cat")}.items():
        for place, label in enumerate(labels):
            desk.answer(sample, label, f"person {place}")
    desk.store.ask_again(5, 1, 1)
    desk.store.ask_again(7, 2, 1)
    assert server.send(desk) == 0
    assert server.overlaps == {3: 3, 5: 3, 7: 5}


def test_a_real_server_gets_questions_and_gives_answers(
    label_studio, desk_with, falbench, tmp_path, monkeypatch
):
    if label_studio is None:
        pytest.skip("tox -e label-studio")
    server, call, annotate = label_studio.address, label_studio.call, label_studio.annotate
    desk = desk_with("votes = 2")
    site, federation = tmp_path / "north.toml", ["--federation", tmp_path / "federation.toml"]
    # The default kind of token, which has to be exchanged for another one.
    monkeypatch.setenv(KEY, call("POST", "token/")["token"])
    for new in (3, 0):
        code, out, error = falbench("labels", "export", site, server, *federation)
        assert (code, f" {new} " in out) == (0, True), error
    [project] = call("GET", "projects/")["results"]
    assert (project["task_number"], project["maximum_annotations"]) == (3, 2)
    listed = label_studio.tasks()
    tasks = {one["data"]["sample"]: one["id"] for one in listed}
    assert len({one["predictions_score"] for one in listed}) == 3
    for name in ("ben", "cem"):
        new = {"email": f"{name}@example.org", "username": name, "password": "not-a-secret"}
        call("POST", "users/", new)
    for sample, labels in {3: ("dog", "dog"), 5: ("dog", "cat"), 7: ("cat",)}.items():
        for who, label in enumerate(labels, start=1):
            annotate(tasks[sample], label, who)
    assert falbench("labels", "import", site, server, *federation)[0] == 0
    assert desk.store.labels(9)[[3, 5, 7]].tolist() == [1, -1, -1]
    assert [(one.sample, one.purpose) for one in desk.store.pending()] == [
        (7, "second-vote"), (5, "adjudication")
    ]  # fmt: skip
    assert falbench("labels", "export", site, server, *federation)[0] == 0
    assert call("GET", f"tasks/{tasks[5]}/")["overlap"] == 3
    annotate(tasks[5], "cat", 3)
    annotate(tasks[7], "cat", 3)
    for _ in range(2):
        assert falbench("labels", "import", site, server, *federation)[0] == 0
    assert desk.store.labels(9)[[3, 5, 7]].tolist() == [1, 0, 0]
    people = {one.annotator for one in desk.store.history()}
    assert people == {"ann@example.org", "ben@example.org", "cem@example.org"}
    assert len(desk.store.history()) == desk.store.paid() == 7
    monkeypatch.setenv(KEY, label_studio.key)
    exported = tmp_path / "export.json"
    content = call("GET", f"projects/{project['id']}/export?exportType=JSON")
    exported.write_text(json.dumps(content))
    code, out, _ = falbench("labels", "import", site, Path(exported), *federation)
    assert (code, out.startswith("0 ")) == (0, True)
