from fal_bench import Strategy
from fal_bench.acquisition.scores import smallest, top_two_margin


def margins(client):
    return top_two_margin(client.probs(client.global_model))


class Extremes(Strategy):
    """Sends the least margin of every client, also of one that has none."""

    name = "sending-the-least-margin"

    def select_all(self, federation):
        federation.gather(lambda client: margins(client).min(keepdims=True))
        return federation.each(lambda client, budget: smallest(margins(client), budget))
