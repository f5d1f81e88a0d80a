"""Fixtures for the tests of ``data`` and ``datasets``; ``tests/conftest.py`` loads them."""

import http.server
import threading

import pytest

from fal_bench.data import loading
from fal_bench.data.folders import CACHE_VARIABLE, DATA_VARIABLE, current_folders
from fal_bench.datasets import fashion_mnist


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Empty data and cache folders; those of the user are neither read nor written."""
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "data"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "no-such-package")
    (tmp_path / "data").mkdir()
    yield current_folders()
    loading._load.cache_clear()


@pytest.fixture
def server():
    """A web server: put what it has into ``files``; ``cut`` bytes are missing at the end."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = site.files.get(self.path.lstrip("/"))
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) - site.cut])
            site.served.append(self.path.lstrip("/"))

        def log_message(self, *arguments):
            pass

    class Site:
        files: dict[str, bytes] = {}
        cut = 0
        served: list[str] = []

        @property
        def url(self):
            return f"http://127.0.0.1:{listening.server_port}/"

    site = Site()
    site.files, site.served = {}, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield site
        listening.shutdown()
        thread.join()


@pytest.fixture
def nowhere():
    """The address of a server that is not there."""
    return "http://127.0.0.1:1/"


@pytest.fixture
def entries():
    """Return a function that lists what a folder holds, lock files aside."""

    def listed(folder):
        if not folder.exists():
            return []
        return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))

    return listed
