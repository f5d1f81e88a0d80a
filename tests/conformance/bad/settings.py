import os

import numpy as np
import torch

from fal_bench import Strategy


class Front(Strategy):
    def select(self, client, budget):
        self.change()
        return np.arange(budget)


class Elsewhere(Front):
    name = "changing-the-folder"

    def change(self):
        os.chdir("/")


class Silent(Front):
    name = "silencing-numpy"

    def change(self):
        np.seterr(all="ignore")


class Environment(Front):
    name = "setting-the-environment"

    def change(self):
        os.environ["MY_IDEA"] = "1"


class Deterministic(Front):
    name = "slowing-torch-down"

    def change(self):
        torch.use_deterministic_algorithms(True)
