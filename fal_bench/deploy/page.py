"""A page on this machine that shows one sample and takes a label by key."""

from __future__ import annotations

import json
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from fal_bench.deploy.annotating import Desk, media_type
from fal_bench.deploy.labels import ADJUDICATION
from fal_bench.deploy.messages import DeploymentError
from fal_bench.deploy.samples import Samples
from fal_bench.errors import FalbenchError

HOST: Final = "127.0.0.1"
_MOST_BYTES: Final = 10_000
_TOKEN: Final = "X-Falbench"
"""Header that other pages of the browser cannot know, so that they cannot label."""


def page_server(desk: Desk, port: int) -> ThreadingHTTPServer:
    """Return the server of the page; it answers this machine alone.

    Args:
        desk: the site's desk.
        port: where it listens; 0 takes a free one.

    Raises:
        DeploymentError: the port is taken, or the site's samples cannot be used.
    """
    token = secrets.token_urlsafe(16)
    handler = type("Handler", (_Handler,), {"desk": desk, "samples": desk.samples, "token": token})
    try:
        return ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise DeploymentError(
            f"Cannot listen on port {port} ({error.strerror}); choose another with --port."
        ) from None


class _Handler(BaseHTTPRequestHandler):
    """Answers the browser: the page, the next question, pictures, and labels."""

    desk: Desk
    samples: Samples
    token: str

    def do_GET(self) -> None:
        """Show the page, a question or a picture."""
        address = urlsplit(self.path)
        path = address.path
        if not self._is_ours():
            self._fail(HTTPStatus.FORBIDDEN, "Open the address that falbench labels serve printed.")
        elif path == "/":
            text = files("fal_bench.deploy").joinpath("templates/page.html").read_text("utf-8")
            text = text.replace("{{token}}", self.token)
            self._send(text.encode(), "text/html; charset=utf-8")
        elif path == "/next":
            self._send_json(self._question(parse_qs(address.query).get("annotator", [""])[0]))
        elif path.startswith("/picture/") and path.removeprefix("/picture/").isdecimal():
            self._send_picture(int(path.removeprefix("/picture/")))
        else:
            self._fail(HTTPStatus.NOT_FOUND, "There is no such page.")

    def do_POST(self) -> None:
        """Take a label, or take one back."""
        size = int(self.headers.get("Content-Length") or 0)
        if not self._is_ours() or self.headers.get(_TOKEN) != self.token or size > _MOST_BYTES:
            self._fail(HTTPStatus.FORBIDDEN, "Reload the page.")
            return
        try:
            said = json.loads(self.rfile.read(size))
            sample, who = int(said["sample"]), str(said["annotator"])
            if self.path == "/answer":
                self.desk.answer(sample, str(said["label"]), who)
            else:
                self.desk.store.take_back(sample, who)
        except FalbenchError as error:
            self._fail(HTTPStatus.BAD_REQUEST, str(error))
        except (ValueError, KeyError, TypeError, OverflowError):
            self._fail(HTTPStatus.BAD_REQUEST, "This is no answer.")
        else:
            self._send_json(self._question(who))

    def log_message(self, *_: Any) -> None:
        """Write nothing: who labels what stands in the store."""

    def _is_ours(self) -> bool:
        """Whether the browser asks for this machine by its own address."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        return host in (HOST, "localhost")

    def _question(self, annotator: str) -> dict[str, Any]:
        """Return the next question of a person, and how many others there are."""
        questions = self.desk.questions(annotator) if annotator.strip() else []
        found: dict[str, Any] = {
            "site": self.desk.name,
            "classes": self.desk.classes,
            "left": len(questions),
            "others": len(self.desk.store.pending()) - len(questions),
        }
        if questions:
            first = questions[0]
            samples = self.samples
            found |= {
                "sample": first.sample,
                "decides": first.purpose == ADJUDICATION,
                "name": samples.names[first.sample],
                "picture": samples.picture(first.sample) is not None,
                "text": samples.text(first.sample),
            }
        return found

    def _send_picture(self, sample: int) -> None:
        asked = {one.sample for one in self.desk.store.pending()}
        picture = self.samples.picture(sample) if sample in asked else None
        if picture is None:
            self._fail(HTTPStatus.NOT_FOUND, "There is no such picture.")
        else:
            self._send(picture, media_type(picture))

    def _send_json(self, content: dict[str, Any]) -> None:
        self._send(json.dumps(content).encode(), "application/json")

    def _fail(self, status: HTTPStatus, why: str) -> None:
        self._send(json.dumps({"error": why}).encode(), "application/json", status)

    def _send(self, content: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'self' 'unsafe-inline'")
        self.end_headers()
        self.wfile.write(content)
