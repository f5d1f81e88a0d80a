from fal_bench import Strategy
from fal_bench.acquisition.scores import smallest, top_two_margin


class HalfThePool(Strategy):
    name = "half-the-pool"

    def select(self, client, budget):
        margins = top_two_margin(client.probs(client.global_model))
        candidates = smallest(margins, -(-len(margins) // 2))
        return client.rng.choice(candidates, budget, replace=False)
