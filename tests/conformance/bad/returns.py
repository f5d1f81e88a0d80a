import time

from fal_bench import Strategy


class Sleeping(Strategy):
    name = "sleeping"

    def select(self, client, budget):
        time.sleep(3600)


class Looping(Strategy):
    name = "looping"

    def select_all(self, federation):
        while federation.clients:
            time.sleep(0.01)
