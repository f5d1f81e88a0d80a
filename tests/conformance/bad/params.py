from typing import Annotated, Any

import numpy as np
from pydantic import Field

from fal_bench import Params, Strategy


class Front(Strategy):
    def select(self, client, budget):
        return np.arange(budget)


class BadDefault(Front):
    name = "bad-default"

    class Params(Params):
        size: Annotated[int, Field(ge=1)] = 0


class NoDefault(Front):
    name = "no-default"

    class Params(Params):
        size: int


class Changed(Front):
    name = "changed-by-json"

    class Params(Params):
        sizes: Any = (1, 2)


class NotJson(Front):
    name = "not-json"

    class Params(Params):
        weight: Any = np.float64
