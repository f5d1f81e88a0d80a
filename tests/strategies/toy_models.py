"""A toy client whose models are tables, for golden values found another way.

Unlike ``ToyClient`` it knows labelled samples too, and takes logits, so that every output agrees.
"""

import numpy as np


class TableClient:
    """A client view over given tables.

    Args:
        logits: tables of logits of the unlabelled samples by model: ``global``, ``previous``, ...
        labels: labels of the labelled samples.
        embeddings: tables of embeddings of the unlabelled samples, by model.
        labelled_embeddings: the same of the labelled samples.
        labelled_logits: logits of the labelled samples, by model.
        n_classes: number of classes; the width of the logits if None.
        seed: of ``rng``.
    """

    def __init__(
        self,
        logits,
        labels=(0,),
        embeddings=None,
        labelled_embeddings=None,
        labelled_logits=None,
        n_classes=None,
        seed=0,
    ):
        self._logits = _tables(logits)
        self._embeddings = _tables(embeddings)
        self._labelled_logits = _tables(labelled_logits)
        self._labelled_embeddings = _tables(labelled_embeddings)
        first = next(iter(self._logits.values()))
        self.index, self.cycle = 0, 0
        self.n_classes = n_classes or first.shape[1]
        self.labels = _frozen(np.asarray(labels, np.int64))
        self.labelled = _frozen(np.arange(len(self.labels)))
        self.unlabelled = _frozen(np.arange(len(first)) + 100)
        self.rng = np.random.default_rng(seed)
        self.memory = {}
        self.global_model, self.previous_model, self.local_model = "global", "previous", "local"
        self.distilled_model = "distilled"

    def logits(self, model, ids=None):
        return self._look_up(self._logits, self._labelled_logits, model, ids)

    def probs(self, model, ids=None):
        exponentials = np.exp(self.logits(model, ids))
        return _frozen(exponentials / exponentials.sum(axis=1, keepdims=True))

    def embeddings(self, model, ids=None):
        return self._look_up(self._embeddings, self._labelled_embeddings, model, ids)

    def _look_up(self, unlabelled, labelled, model, ids):
        if ids is None:
            return unlabelled[model]
        if not len(ids) or ids[0] >= 100:
            return unlabelled[model][np.searchsorted(self.unlabelled, ids)]
        return labelled[model][ids]


def _tables(tables):
    return {name: _frozen(np.asarray(table, np.float32)) for name, table in (tables or {}).items()}


def _frozen(array):
    array.setflags(write=False)
    return array
