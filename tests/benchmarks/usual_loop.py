"""FedAvg as the field's research code writes it: the baseline of every ratio.

A data loader per client, an ``nn.Module`` and a ``torch.optim`` optimiser per local training,
state dicts copied deeply, ``loss.item()`` every step, and averaging in Python.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from torchvision import transforms


class Images(Dataset):
    """8-bit images, turned into tensors one by one when they are asked for."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images = images
        self.labels = labels
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        image = Image.fromarray(self.images[index])
        return self.transform(image), int(self.labels[index])


def as_tensors(dataset: Images) -> TensorDataset:
    """Return the same samples transformed once: a kinder baseline."""
    features = torch.stack([dataset[i][0] for i in range(len(dataset))])
    return TensorDataset(features, torch.from_numpy(dataset.labels))


def local_update(model: nn.Module, data: Dataset, epochs: int, batch_size: int, lr: float):
    """Train a copy of a model on one client; return its state and size."""
    model = copy.deepcopy(model).train()
    loader = DataLoader(data, batch_size=batch_size, shuffle=True)
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    criterion = nn.CrossEntropyLoss()
    losses = []
    for _ in range(epochs):
        for images, labels in loader:
            optimiser.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    return copy.deepcopy(model.state_dict()), len(data), sum(losses) / len(losses)


def average(states: list[dict], sizes: list[int]) -> dict:
    """Average states key by key and client by client."""
    total = sum(sizes)
    result = copy.deepcopy(states[0])
    for key in result:
        if not result[key].is_floating_point():
            continue
        result[key] = result[key] * (sizes[0] / total)
        for state, size in zip(states[1:], sizes[1:], strict=True):
            result[key] = result[key] + state[key] * (size / total)
    return result


def federated_round(model: nn.Module, clients: list[Dataset], epochs, batch_size, lr) -> None:
    """Run one round in place."""
    updates = [local_update(model, client, epochs, batch_size, lr) for client in clients]
    model.load_state_dict(average([u[0] for u in updates], [u[1] for u in updates]))


def predict_one_by_one(model: nn.Module, data: Dataset) -> torch.Tensor:
    """Predict with a data loader of the default batch size, which is 1."""
    model.eval()
    outputs = []
    with torch.no_grad():
        for images, _ in DataLoader(data):
            outputs.append(model(images).softmax(1))
    return torch.cat(outputs)


def split(dataset: Dataset, clients: int, samples: int) -> list[Dataset]:
    """Return each client's part of a data set."""
    return [
        Subset(dataset, range(client * samples, (client + 1) * samples))
        for client in range(clients)
    ]
