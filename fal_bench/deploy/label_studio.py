"""Label Studio: open questions out as tasks, annotations in as answers; its server or its files.

A site has one project on a server. Both directions may be repeated: a sample is one task, and an
annotation is taken in once in each state, so that a label that was taken back stays so.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from xml.sax.saxutils import quoteattr

from fal_bench.deploy.annotating import Desk, media_type
from fal_bench.deploy.labels import NotNeededError, Pending
from fal_bench.deploy.messages import DeploymentError
from fal_bench.inputs.files import parsed, read_bytes

KEY: Final = "LABEL_STUDIO_API_KEY"
"""Environment variable with an access token of Label Studio."""
TASKS: Final = "label-studio-tasks.json"
INTERFACE: Final = "label-studio-interface.xml"

_TIMEOUT: Final = 300.0
_MOST_BYTES: Final = 2**30
_PAGE: Final = 200
_SAMPLE: Final = "sample"
"""What falbench calls a sample in a task's data."""


@dataclass(frozen=True)
class Taken:
    """What came of annotations.

    Attributes:
        changed: labels that are new or differ.
        left: annotations that were not asked for, or whose vote is not needed.
    """

    changed: int
    left: int


def write_files(desk: Desk, folder: Path, annotator: str | None = None) -> int:
    """Write the open questions for the import into a project, and the project's interface.

    Args:
        desk: the site's desk.
        folder: where to.
        annotator: who will answer; everybody if None.

    Returns:
        How many tasks there are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks = _tasks(desk, desk.questions(annotator))
    (folder / TASKS).write_text(json.dumps(tasks, indent=1), encoding="utf-8")
    (folder / INTERFACE).write_text(_interface(desk), encoding="utf-8")
    return len(tasks)


def read_file(desk: Desk, path: Path) -> Taken:
    """Read the annotations of a project that was exported as JSON.

    Args:
        desk: the site's desk.
        path: the file.

    Raises:
        UnreadableFileError: it cannot be read.
        DeploymentError: it is no export, or an annotation in it cannot be used.
    """
    content = parsed(path, read_bytes(path, most=_MOST_BYTES, links=True))
    return _take(desk, content, {}, repr(str(path)))


class LabelStudio:
    """A Label Studio server.

    Args:
        address: its address, such as ``http://127.0.0.1:8080``.
        key: an access token: a personal one, or a legacy one.
    """

    def __init__(self, address: str, key: str) -> None:
        self._address = address.rstrip("/")
        if not key:
            raise DeploymentError(
                f"Label Studio needs an access token; set {KEY} (its page Account & Settings has "
                "one)."
            )
        self._authorization = f"Token {key}"
        if key.count(".") == 2:  # a personal one, which gives another one for some minutes
            self._authorization = ""
            access = self._call("POST", "token/refresh", {"refresh": key})["access"]
            self._authorization = f"Bearer {access}"

    def send(self, desk: Desk) -> int:
        """Send the open questions to the site's project, which is made if need be.

        Args:
            desk: the site's desk.

        Returns:
            How many tasks are new.
        """
        project = self._project(desk)
        known = dict(self._known_tasks(project))
        questions = desk.questions()
        votes: dict[int, int] = {}
        for sample, vote, _, _ in desk.store.charges():
            votes[sample] = max(vote + 1, votes.get(sample, 0))
        for one in questions:  # Label Studio shows a task to so many people
            if (count := votes[one.sample]) > desk.votes and one.sample in known:
                self._call("PATCH", f"tasks/{known[one.sample]}/", {"overlap": count})
        tasks = _tasks(desk, [one for one in questions if one.sample not in known])
        if tasks:
            self._call("POST", f"projects/{project}/import", tasks)
        return len(tasks)

    def fetch(self, desk: Desk) -> Taken:
        """Take the annotations of the site's project in.

        Args:
            desk: the site's desk.

        Raises:
            DeploymentError: an annotation cannot be used.
        """
        project = self._project(desk)
        users = {one["id"]: str(one["email"]) for one in self._call("GET", "users/")}
        content = self._call("GET", f"projects/{project}/export?exportType=JSON")
        return _take(desk, content, users, f"project {project} of {self._address}")

    def _project(self, desk: Desk) -> int:
        """Return the number of the site's project."""
        fact = f"project of {self._address}"
        if (known := desk.store.facts().get(fact)) is not None:
            return int(known)
        title = f"{desk.federation.name} {desk.name}"
        settings = {
            "title": title[:50],
            "label_config": _interface(desk),
            "maximum_annotations": desk.votes,
        }
        number = int(self._call("POST", "projects/", settings)["id"])
        desk.store.fix({fact: str(number)})
        return number

    def _known_tasks(self, project: int) -> Iterator[tuple[int, int]]:
        """Yield sample and number of every task of a project."""
        page, seen, total = 1, 0, 1
        while seen < total:
            query = urlencode(
                {"project": project, "page": page, "page_size": _PAGE, "include": "id,data"}
                | {"fields": "task_only"}
            )
            found = self._call("GET", f"tasks/?{query}")
            total, page = int(found["total"]), page + 1
            seen += len(found["tasks"])
            if not found["tasks"]:
                return
            for one in found["tasks"]:
                if isinstance(sample := one["data"].get(_SAMPLE), int):
                    yield sample, int(one["id"])

    def _call(self, method: str, path: str, content: Any = None) -> Any:
        """Return the answer to a request.

        Raises:
            DeploymentError: there is none, or it says that something is wrong.
        """
        request = urllib.request.Request(f"{self._address}/api/{path}", method=method)
        request.add_header("Content-Type", "application/json")
        if self._authorization:
            request.add_header("Authorization", self._authorization)
        data = None if content is None else json.dumps(content).encode()
        try:
            with _opener().open(request, data, _TIMEOUT) as reply:
                return json.loads(reply.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                why = f"{error.code} {error.reason}: {error.read(300).decode(errors='replace')}"
        except (OSError, ValueError) as error:
            why = str(error)
        raise DeploymentError(
            f"Label Studio at {self._address} does not answer {method} {path.split('?')[0]} "
            f"({' '.join(why.split())}); check address, {KEY} and project."
        )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nowhere: the access token is for the server that was named."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect)


def _tasks(desk: Desk, questions: list[Pending]) -> list[dict[str, Any]]:
    """Return questions as Label Studio's tasks; the score says in which order they were asked."""
    return [
        {
            "data": {_SAMPLE: one.sample, **_shown(desk, one.sample)},
            "predictions": [
                {
                    "model_version": f"asked in cycle {one.cycle}",
                    "score": round(1 - place / len(questions), 6),
                    "result": [],
                }
            ],
        }
        for place, one in enumerate(questions)
    ]


def _shown(desk: Desk, sample: int) -> dict[str, str]:
    samples = desk.samples
    name = samples.names[sample]
    if (picture := samples.picture(sample)) is None:
        return {"name": name, "text": samples.text(sample) or name}
    encoded = base64.b64encode(picture).decode()
    return {"name": name, "image": f"data:{media_type(picture)};base64,{encoded}"}


def _interface(desk: Desk) -> str:
    """Return what people see of a task, in Label Studio's words."""
    shown = '<Text name="shown" value="$text"/>'
    if desk.samples.picture(0) is not None:
        shown = '<Image name="shown" value="$image"/>'
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in desk.classes)
    return (
        f"<View>\n  {shown}\n"
        f'  <Choices name="label" toName="shown" choice="single" required="true">\n{choices}\n'
        "  </Choices>\n</View>\n"
    )


def _take(desk: Desk, content: Any, users: Mapping[int, str], where: str) -> Taken:
    """Take annotations in, each once in each state.

    Args:
        desk: the site's desk.
        content: what Label Studio exports as JSON: tasks with their annotations.
        users: names of its users by number, as far as known.
        where: where it comes from, for messages.
    """
    try:
        found = list(_annotations(content, users))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise DeploymentError(
            f"There are no tasks with annotations in {where}; export the project as JSON."
        ) from None
    unseen = desk.store.unseen({one.source: one.version for one in found})
    changed = left = 0
    for one in sorted(found, key=lambda one: one.version):
        if one.source not in unseen:
            continue
        try:
            receipt = {one.source: one.version}
            changed += desk.answer(one.sample, one.label, one.annotator, receipt)
        except NotNeededError:
            left += 1
    return Taken(changed, left)


@dataclass(frozen=True)
class _Annotation:
    """What one person said of one sample, and when they said it last."""

    source: str
    version: str
    sample: int
    label: str
    annotator: str


def _annotations(content: Any, users: Mapping[int, str]) -> Iterator[_Annotation]:
    for task in content:
        if _SAMPLE not in task["data"]:
            continue  # a task that somebody else made
        for one in task["annotations"]:
            choices = [part["value"]["choices"] for part in one["result"] if "value" in part]
            if one.get("was_cancelled") or not choices:
                continue
            who = one["completed_by"]
            name = who["email"] if isinstance(who, dict) else users.get(who)
            yield _Annotation(
                f"Label Studio annotation {one['id']}",
                str(one.get("updated_at") or one["created_at"]),
                int(task["data"][_SAMPLE]),
                str(choices[0][0]),
                str(name or f"Label Studio user {who}"),
            )
