from fal_bench import Strategy
from fal_bench.acquisition.scores import smallest, top_two_margin
from fal_bench.errors import UndeclaredNeedError


class FallingBack(Strategy):
    name = "falling-back"

    def select(self, client, budget):
        try:
            model = client.local_model
        except UndeclaredNeedError:
            model = client.global_model
        return smallest(top_two_margin(client.probs(model)), budget)


class Undeclared(Strategy):
    name = "undeclared"

    def select(self, client, budget):
        return smallest(top_two_margin(client.probs(client.local_model)), budget)
