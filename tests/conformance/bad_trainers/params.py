from typing import Annotated, Any

from pydantic import Field

from fal_bench import Params
from fal_bench.trainers.cross_entropy import CrossEntropy


class BadDefault(CrossEntropy):
    name = "bad-default-of-a-loss"

    class Params(Params):
        weight: Annotated[float, Field(gt=0)] = 0


class Changed(CrossEntropy):
    name = "loss-changed-by-json"

    class Params(Params):
        weights: Any = (1, 2)
