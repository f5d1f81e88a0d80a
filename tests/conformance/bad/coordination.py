import numpy as np

from fal_bench import Strategy


class Forgetful(Strategy):
    name = "forgetful"

    def select_all(self, federation):
        return federation.each(lambda client, budget: np.arange(budget))[:-1]


class Objects(Strategy):
    name = "sending-objects"

    def select_all(self, federation):
        federation.gather(lambda client: {"pool": len(client.unlabelled)})
        return federation.each(lambda client, budget: np.arange(budget))


class Lists(Strategy):
    name = "sending-lists"

    def select_all(self, federation):
        federation.gather(lambda client: [len(client.unlabelled)])
        return federation.each(lambda client, budget: np.arange(budget))


class Telling(Strategy):
    name = "broadcasting-a-number"

    def select_all(self, federation):
        federation.broadcast(7)
        return federation.each(lambda client, budget: np.arange(budget))
