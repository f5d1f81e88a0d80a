"""The page that shows one sample and takes a label by key."""

import json
import re
import threading
import urllib.error
import urllib.request

import pytest

from fal_bench.deploy.page import page_server


@pytest.fixture
def address(desk):
    server = page_server(desk, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def asked(address, path, headers=None, content=None):
    """Return the status and the content of an answer."""
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(address + path, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_it_shows_what_is_asked_and_nothing_else(address):
    assert asked(address, "/picture/3")[1].startswith(b"\x89PNG")
    assert asked(address, "/picture/4")[0] == 404
    assert asked(address, "/../north.toml")[0] == 404
    question = json.loads(asked(address, "/next?annotator=ann")[1])
    assert (question["sample"], question["left"], question["others"]) == (3, 3, 0)
    assert "sample" not in json.loads(asked(address, "/next")[1])  # first say who you are


def test_other_pages_of_the_browser_cannot_read_or_label(address, desk):
    said = {"sample": 3, "label": "cat", "annotator": "eve"}
    assert asked(address, "/answer", {}, said)[0] == 403
    assert asked(address, "/answer", {"X-Falbench": "guess"}, said)[0] == 403
    assert asked(address, "/next", {"Host": "evil.example:80"})[0] == 403
    assert desk.store.history() == []


def test_a_number_that_no_sample_can_have_is_no_answer(address, desk):
    text = asked(address, "/")[1].decode()
    token = {"X-Falbench": re.search(r'"([\w-]{22})"', text)[1]}
    for sample in (10**20, float("inf")):
        said = {"sample": sample, "label": "cat", "annotator": "ann"}
        assert asked(address, "/answer", token, said)[0] == 400
    assert desk.store.history() == []


@pytest.mark.browser
def test_a_person_labels_by_key_and_takes_one_back(browser, address, desk):
    browser.open(address, "ann2")
    browser.wait(lambda: browser.text("left").startswith("3"))
    for key, count in (("2", "2"), ("1", "1")):
        browser.press(key)
        browser.wait(lambda count=count: browser.text("left").startswith(count))
    browser.click("back")
    browser.wait(lambda: browser.text("left").startswith("2"))
    said = [(one.sample, one.label, one.annotator) for one in desk.store.history()]
    assert said == [(3, 1, "ann2"), (5, 0, "ann2"), (5, None, "ann2")]
