"""A site: its data and its label store, and the six verbs that it answers.

Looking whether people have answered needs neither PyTorch nor the data, so this module imports
both only for what needs them: Flower starts a process for each message.
"""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Final

from fal_bench.deploy.config import Federation, SiteConfig
from fal_bench.deploy.labels import LabelStore
from fal_bench.deploy.messages import (
    ERROR,
    WAITING,
    DeploymentError,
    Message,
    MessageLog,
    SharedError,
    Verb,
)
from fal_bench.errors import FalbenchError
from fal_bench.federation.ledger import FURTHER, INITIAL, POOL

if TYPE_CHECKING:
    from fal_bench.deploy.computing import SiteComputing
    from fal_bench.deploy.samples import Samples

_PATIENT: Final = frozenset({"train", "select", "evaluate"})
"""Verbs that need every label that was asked for."""


class Site:
    """One site of a federation. It answers a verb the same way however often it is asked.

    Args:
        federation: what server and sites agree on.
        config: what is its own.

    Raises:
        DeploymentError: it is no site of the federation, or its label store cannot be used.
    """

    def __init__(self, federation: Federation, config: SiteConfig) -> None:
        self.name = config.name
        self.number = federation.number(config.name)
        self.store = LabelStore(config.store, config.votes, config.adjudicators)
        self._federation = federation
        self._config = config
        self._log = MessageLog(config.store / "messages.jsonl")

    def answer(self, verb: Verb, message: Message) -> Message:
        """Answer a message of the server.

        A site that waits for people says so at once. What a user can correct is said in one
        sentence: in the site's log, and as the fact ``error`` (see ``refusal``).

        Args:
            verb: what is asked.
            message: with what.
        """
        self._log.note(verb, "in", message)
        why = ""
        try:
            reply = self._answer(verb, message)
        except FalbenchError as error:
            reply, why = refusal(f"Site {self.name!r}", verb, error), str(error)
        self._log.note(verb, "out", reply, why)
        return reply

    @cached_property
    def samples(self) -> Samples:
        """The site's samples.

        Raises:
            DeploymentError: they cannot be read, or are not those that the site began with.
        """
        from fal_bench.deploy.samples import read_samples

        return read_samples(self._federation, self._config, self.store)

    def _answer(self, verb: Verb, message: Message) -> Message:
        self._answer_as_simulated()
        if verb in _PATIENT and (open_now := len(self.store.pending())):
            return Message({WAITING: open_now})
        match verb:
            case "hello":
                return self._hello(message)
            case "ask":
                facts = message.facts
                self._computing.ask(int(facts["evaluation"]), int(facts["initial"]))
                self._answer_as_simulated()
                return self._status()
            case "status":
                return self._status()
            case "train":
                return self._computing.train(message)
            case "evaluate":
                return self._computing.evaluate(message)
            case "select":
                return self._select(message)

    def _select(self, message: Message) -> Message:
        from fal_bench.deploy.ledger import LabelsPendingError

        while True:
            try:
                return self._computing.select(message)
            except LabelsPendingError:
                self._answer_as_simulated()
                if open_now := len(self.store.pending()):
                    return Message({WAITING: open_now})

    def _hello(self, message: Message) -> Message:
        """Say who is here; refuse a server that has other settings or other code."""
        if message.facts["digest"] != self._federation.digest:
            raise SharedError(
                f"Site {self.name!r} and the server have different settings of the federation, or "
                "different versions of falbench, the strategy or the trainer; bring both to the "
                "same."
            )
        try:
            self.store.fix({"digest of the federation": self._federation.digest})
        except DeploymentError:
            raise SharedError(
                f"The label store of site {self.name!r} was begun with other settings of the "
                "federation, or another version; go on with those, or start with another store."
            ) from None
        return Message({"site": self.name, "samples": len(self.samples.names)})

    def _status(self) -> Message:
        """Say how many labels were asked for, and how many are open; which ones stays here."""
        charges = self.store.charges()
        samples = {sample for sample, _, purpose, _ in charges if purpose in (INITIAL, POOL)}
        further = sum(purpose == FURTHER for _, _, purpose, _ in charges)
        return Message(
            {
                "open": len(self.store.pending()),
                "samples": len(samples),
                "labels": len(samples) + further,
                "paid": self.store.paid(),
            }
        )

    def _answer_as_simulated(self) -> None:
        """Give the answers of simulated annotators, where the site has such."""
        if self._config.data.kind != "share" or not (asked := self.store.pending()):
            return
        known = self.samples.known
        assert known is not None
        while asked:  # an adjudicator is asked when two have answered
            for vote in sorted({one.vote for one in asked}):
                own = [one.sample for one in asked if one.vote == vote]
                labels = zip(own, known(vote)[own].tolist(), strict=True)
                self.store.answer(labels, f"simulated {vote}", len(self._federation.classes))
            asked = self.store.pending()

    @cached_property
    def _computing(self) -> SiteComputing:
        import torch

        from fal_bench.deploy.computing import SiteComputing

        torch.set_num_threads(self._config.threads)
        return SiteComputing(
            self._federation, self.number, self.samples, self.store, self._config.store
        )


def refusal(who: str, verb: Verb, error: FalbenchError) -> Message:
    """Return what the server is told of an error; all of it is printed at the site.

    Args:
        who: who cannot answer.
        verb: what was asked.
        error: why.
    """
    print(f"Error: {error}", file=sys.stderr, flush=True)
    if isinstance(error, SharedError):
        return Message({ERROR: str(error)})
    return Message({ERROR: f"{who} cannot answer {verb!r}; the log of its SuperNode says why."})
