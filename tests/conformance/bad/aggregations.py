"""Aggregations that each fail the check that their name begins with, and no other."""

import time
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from fal_bench import Aggregation, Params


def bad(name, method="combine"):
    """Make an aggregation of a function that replaces ``combine`` or ``correction``."""

    def make(function):
        return type(name, (Aggregation,), {"name": name, method: function, "__module__": __name__})

    return make


class Spaced(Aggregation):
    name = "declaration--with a space"


class Silent(Aggregation):
    name = "declaration--silent"
    messages = 0


class BadDefault(Aggregation):
    name = "params--bad-default"

    class Params(Params):
        weight: Annotated[float, Field(gt=0)] = 0


class PullingAway(Aggregation):
    name = "rounds--pulling-away"
    proximal = -1.0


@bad("rounds--nothing")
def nothing(self, updates, server):
    pass


@bad("rounds--raising")
def raising(self, updates, server):
    raise RuntimeError("no idea")


@bad("rounds--hanging")
def hanging(self, updates, server):
    time.sleep(3)


@bad("rounds--other-names")
def other_names(self, updates, server):
    return {f"net.{name}": tensor for name, tensor in server.average(updates).items()}


@bad("rounds--other-shapes")
def other_shapes(self, updates, server):
    return {name: tensor.flatten() for name, tensor in server.average(updates).items()}


@bad("rounds--divided-by-zero")
def divided_by_zero(self, updates, server):
    change = server.change(updates)
    return {name: tensor / (tensor - tensor) for name, tensor in change.items()}


@bad("rounds--remembering-a-number")
def remembering_a_number(self, updates, server):
    server.memory["rounds"] = server.memory.get("rounds", 0) + 1
    return server.average(updates)


@bad("rounds--correction-of-another-shape", "correction")
def correction_of_another_shape(self, client, server):
    return {name: torch.zeros(()) for name in server.parameters}


@bad("absence--every-client-expected")
def every_client_expected(self, updates, server):
    by_client = {one.client: one for one in updates}
    return server.average([by_client[client] for client in range(server.clients)])


@bad("global-random--noise")
def noise(self, updates, server):
    np.random.rand()  # noqa: NPY002
    return server.average(updates)


@bad("repeatable--noise")
def own_noise(self, updates, server):
    scale = 1 + 1e-3 * np.random.default_rng().random()
    return {name: tensor * scale for name, tensor in server.average(updates).items()}


@bad("settings--threads")
def threads(self, updates, server):
    np.seterr(all="ignore")
    return server.average(updates)


class Object(Aggregation):
    name = "memory--in-the-object"
    rounds = 0

    def combine(self, updates, server):
        self.rounds += 1
        change = server.change(updates)
        return {name: server.weights[name] + change[name] / self.rounds for name in change}


@bad("mutation--of-an-update")
def of_an_update(self, updates, server):
    average = server.average(updates)
    updates[0].weights["head.bias"].zero_()
    return average


@bad("mutation--of-the-server")
def of_the_server(self, updates, server):
    for name, change in server.change(updates).items():
        server.weights[name].add_(change)
    return server.weights
