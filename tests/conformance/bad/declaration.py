from fal_bench import Strategy


class Spaced(Strategy):
    name = "has a space"

    def select(self, client, budget):
        return client.rng.permutation(len(client.unlabelled))[:budget]


class Bracketed(Spaced):
    name = "mine[a=1]"


class NotAFlag(Spaced):
    name = "not-a-flag"
    deterministic = 0


class OneName(Spaced):
    name = "one-name"
    keeps = "policy"
