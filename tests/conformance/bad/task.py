import numpy as np

from fal_bench import Strategy
from fal_bench.errors import InvalidSpecError


class Choosy(Strategy):
    name = "choosy"

    def check_task(self, task):
        raise InvalidSpecError(f"Task {task.name!r} lacks a unicorn.")

    def select(self, client, budget):
        return np.arange(budget)


class Raising(Choosy):
    name = "raising-at-the-task"

    def check_task(self, task):
        raise KeyError(task.name)
