"""Flower as the carrier of messages: a client app for sites, a server app, and the link.

The only module that imports Flower (``pip install "falbench[flower]"``).
"""

from __future__ import annotations

import json
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, RecordDict
from flwr.app import Message as FlowerMessage
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from fal_bench.deploy.config import SITES, Federation, read_federation, read_site
from fal_bench.deploy.messages import ERROR, VERBS, DeploymentError, Message, Verb
from fal_bench.deploy.site import Site, refusal
from fal_bench.errors import FalbenchError

_FACTS: Final = "facts"
_ARRAYS: Final = "arrays"

_TIMEOUT: Final = 3600.0
"""Seconds after which a message is sent again; a site that left is noticed much earlier."""
_PAUSE: Final = 1.0
"""Seconds between two looks for sites that are not there."""
_ATTEMPTS: Final = 3
"""How often a site's app may fail at one message."""


def client_app(federation: Path) -> ClientApp:
    """Return the app of a site.

    A SuperNode names its site's file in its ``--node-config`` (``site="/path/to/north.toml"``). In
    Flower's simulation the sites of the folder ``sites`` take their turns.

    Args:
        federation: the federation's file.
    """
    app = ClientApp()
    for verb in VERBS:
        answer = partial(_answered, verb, federation)
        if verb == "train":
            app.train()(answer)
        elif verb == "evaluate":
            app.evaluate()(answer)
        else:
            app.query(verb)(answer)
    return app


def server_app(federation: Path) -> ServerApp:
    """Return the app of the server; its state and record lie in the folder of the run's config.

    Args:
        federation: the federation's file.
    """
    app = ServerApp()

    def main(grid: Grid, context: Context) -> None:
        from fal_bench.deploy.server import Server

        agreed = read_federation(federation)
        folder = Path(str(context.run_config["folder"])) / "server"
        say = partial(print, flush=True)
        try:
            Server(agreed, FlowerLink(grid, agreed), folder, say).run()
        except FalbenchError as error:
            say(f"Error: {error}")
            raise

    app.main()(main)
    return app


class FlowerLink:
    """Reaches sites through Flower.

    Args:
        grid: Flower's way to its nodes.
        federation: what server and sites agree on.
    """

    def __init__(self, grid: Grid, federation: Federation) -> None:
        self._grid = grid
        self._federation = federation
        self._nodes: dict[str, int] = {}
        self._met: dict[str, Message] = {}

    def ask(self, verb: Verb, messages: Mapping[str, Message]) -> dict[str, Message]:
        """Send messages until all have a reply; see ``fal_bench.deploy.messages.Link``.

        Raises:
            DeploymentError: a site's app fails again and again.
        """
        replies: dict[str, Message] = {}
        failures: Counter[str] = Counter()
        if verb == "hello":  # which is how sites are met
            self._meet(list(messages))
            return {site: self._met[site] for site in messages}
        while missing := [site for site in messages if site not in replies]:
            nodes = self._meet(missing)
            sites = {node: site for site, node in nodes.items()}
            asked = [_packed(verb, nodes[site], messages[site]) for site in missing]
            for reply in self._grid.send_and_receive(asked, timeout=_TIMEOUT):
                site = sites.get(reply.metadata.src_node_id)
                if site is None:  # the SuperLink says that a node is gone
                    continue
                if not reply.has_error():
                    replies[site] = _unpacked(reply)
                    continue
                failures[site] += 1
                what = f"site {site!r}"
                self._check_failures(what, nodes[site], verb, failures[site], reply)
            for site in missing:  # a site that comes back has another node
                if site not in replies:
                    self._nodes.pop(site, None)
        return replies

    def _check_failures(
        self, what: str, node: int, verb: Verb, failures: int, reply: FlowerMessage
    ) -> None:
        """Refuse to ask a node on and on that is there and fails each time.

        Raises:
            DeploymentError: it has failed as often as it may.
        """
        if failures >= _ATTEMPTS and node in set(self._grid.get_node_ids()):
            raise DeploymentError(
                f"The app at {what} failed {failures} times at {verb!r} ({reply.error.reason}); "
                "its SuperNode's log says more."
            )

    def _meet(self, sites: list[str]) -> dict[str, int]:
        """Return the nodes of sites, and wait for those that are not there.

        Raises:
            DeploymentError: a node belongs to no site of this federation, or has other settings.
        """
        said: list[str] = []
        failures: Counter[int] = Counter()
        while absent := [site for site in sites if site not in self._nodes]:
            strangers = [
                node for node in self._grid.get_node_ids() if node not in self._nodes.values()
            ]
            greeting = Message({"digest": self._federation.digest})
            asked = [_packed("hello", node, greeting) for node in strangers]
            for reply in self._grid.send_and_receive(asked, timeout=_TIMEOUT) if asked else ():
                if reply.has_error():
                    node = reply.metadata.src_node_id
                    failures[node] += 1
                    self._check_failures(f"node {node}", node, "hello", failures[node], reply)
                    continue
                met = _unpacked(reply)
                if ERROR in met.facts:
                    raise DeploymentError(str(met.facts[ERROR]))
                site = str(met.facts["site"])
                self._nodes[site], self._met[site] = reply.metadata.src_node_id, met
            if (absent := [site for site in sites if site not in self._nodes]) and absent != said:
                print(f"Waiting for {', '.join(absent)}.", flush=True)
                said = absent
            if absent:
                time.sleep(_PAUSE)
        return {site: self._nodes[site] for site in sites}


def _answered(
    verb: Verb, federation: Path, message: FlowerMessage, context: Context
) -> FlowerMessage:
    """Answer one message at a site."""
    try:
        reply = _site(federation, _site_file(federation, context)).answer(verb, _unpacked(message))
    except FalbenchError as error:
        reply = refusal("A site", verb, error)
    except Exception:
        # Flower sends what an exception says to the server, and it may quote data.
        traceback.print_exc()
        raise RuntimeError(f"no answer to {verb!r}") from None
    return FlowerMessage(_content(reply), reply_to=message)


def _site_file(federation: Path, context: Context) -> Path:
    """Return the file of the site that a node is: its own choice, never the server's."""
    node = context.node_config
    if "site" in node:
        return Path(str(node["site"]))
    if "partition-id" not in node:
        raise DeploymentError(
            "This SuperNode does not know its site; start it with --node-config "
            "'site=\"/path/to/site.toml\"'."
        )
    name = read_federation(federation).sites[int(node["partition-id"])]
    return Path(str(context.run_config["folder"])) / SITES / f"{name}.toml"


@lru_cache(maxsize=64)
def _site(federation: Path, site: Path) -> Site:
    """Return a site; a process that gets several messages of one keeps it."""
    return Site(read_federation(federation), read_site(site))


def _packed(verb: Verb, node: int, message: Message) -> FlowerMessage:
    kind = verb if verb in ("train", "evaluate") else f"query.{verb}"
    return FlowerMessage(_content(message), dst_node_id=node, message_type=kind)


def _content(message: Message) -> RecordDict:
    arrays = ArrayRecord({name: Array(array) for name, array in message.arrays.items()})
    facts = ConfigRecord({_FACTS: json.dumps(message.facts)})
    return RecordDict({_ARRAYS: arrays, _FACTS: facts})


def _unpacked(message: FlowerMessage) -> Message:
    content: Any = message.content
    arrays = {name: array.numpy() for name, array in content[_ARRAYS].items()}
    return Message(json.loads(content[_FACTS][_FACTS]), arrays)
