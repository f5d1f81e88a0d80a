"""Real worker processes whose trainers hang, leave, raise, eat memory, or just take long.

So do strategies in ``test_supervisor``; that one's constructor hangs is seen here in passing.
"""

import json
import re
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from untimed import assert_same_curves, untimed

from fal_bench.data.loading import load_dataset

LIMIT = 1024

HEAD = "EATEN, ODD = [], []"
STRATEGIES = {"dozing.__init__": "time.sleep(0 if HERE else 3600)"}
TRAINERS = {
    "hanging": "time.sleep(3600)",
    "unlikely.probs": "time.sleep(3600)",
    "sleeping.__init__": "time.sleep(0 if HERE else 3600)",
    "exiting": "os._exit(7)",
    "raising": "raise RuntimeError('no idea')",
    "departing": "sys.exit(0)",
    "eating": "while True: EATEN.append(np.ones(32 * 2**17)); time.sleep(0.02)",
    "odd": "if ODD and (batch.class_counts == torch.tensor(ODD)).all(-1).any(): time.sleep(3600)",
    "slow": "time.sleep(0.05)",
}


@pytest.fixture
def plugin(tmp_path, write_plugin):
    return write_plugin(tmp_path / "trainers.py", STRATEGIES, TRAINERS, head=HEAD)


@pytest.fixture
def compare(compare, plugin):
    return partial(compare, task="a", seeds=1, jobs=2, plugins=[plugin])


def reasons(result):
    return {run.strategy: run.reason for run in result.context.missing}


def test_a_trainer_that_hangs_or_leaves_fails_alone_and_by_name(compare):
    bad = ("hanging", "unlikely", "sleeping", "exiting")
    strategies = ["random", "fal-margin", *(f"random[trainer={name}]" for name in bad)]
    result = compare([*strategies, "dozing"], call_timeout=1)
    found = reasons(result)
    assert re.search("'dozing'.*within 1 s", found.pop("dozing"))
    assert set(found) == {f"random[trainer={name}]" for name in bad}
    for name in bad:
        fact = "cycle 0.*exit code 7" if name == "exiting" else "cycle 0.*within 1 s"
        assert repr(name) in found[f"random[trainer={name}]"]
        assert re.search(fact, found[f"random[trainer={name}]"])
    alone = compare(["random", "fal-margin"], "alone", backend="sequential")
    assert_same_curves(result, alone)


def test_a_trainer_that_raises_is_named(compare):
    strategies = ["random", *(f"random[trainer={name}]" for name in ("raising", "departing"))]
    result = compare(strategies, backend="sequential")
    found = reasons(result)
    assert list(found) == strategies[1:]
    assert "RuntimeError: no idea" in found["random[trainer=raising]"]
    assert "SystemExit: 0" in found["random[trainer=departing]"]
    assert set(result.curves.strategy) == {"random"}


def test_a_trainer_that_eats_memory_fails_alone_and_by_name(compare):
    result = compare(["random[trainer=eating]", "random"], memory_limit=LIMIT)
    [(strategy, reason)] = reasons(result).items()
    assert strategy == "random[trainer=eating]"
    assert re.search(r"'eating'.*cycle 0.* MiB", reason)
    assert set(result.curves.strategy) == {"random"}


def test_a_long_and_healthy_training_is_not_ended(compare, suite):
    text = Path(suite).read_text().replace("rounds = 2", "rounds = 1")
    text = text.replace("local_epochs = 1", "local_epochs = 30").replace("_cap = 30", "_cap = 20")
    Path(suite).write_text(text)
    result = compare(["random[trainer=slow]"], call_timeout=1)
    assert not result.context.missing
    assert result.curves.train_seconds.min() > 30 * 0.05  # one training: many looks, many limits


def test_runs_trained_together_are_told_apart(compare, plugin, tmp_path):
    """Two runs share all steps; in the second cycle the trainer cannot stand one of them."""
    strategies = ["random[trainer=odd]", "fal-margin[trainer=odd]"]
    whole = compare(strategies, "whole", backend="sequential")
    assert not whole.context.missing
    counts = {}
    for folder in (tmp_path / "whole" / "runs").iterdir():
        ledger = pd.read_csv(folder / "ledger.csv")
        bought = ledger[(ledger.client == 0) & (ledger.cycle < 1)]["sample"]
        labels = load_dataset("digits").train_labels[torch.tensor(bought.to_numpy())]
        name = json.loads((folder / "run.json").read_text())["description"]["strategy"]["name"]
        counts[name] = labels.bincount(minlength=10).tolist()
    assert counts["random"] != counts["fal-margin"]
    odd = f"EATEN, ODD = [], {counts['random']}"
    plugin.write_text(plugin.read_text().replace(HEAD, odd))
    result = compare(strategies, jobs=1, call_timeout=1)
    [(label, reason)] = reasons(result).items()
    assert label == "random[trainer=odd]"
    assert re.search(r"'odd'.*cycle 1.* 1 s", reason)
    expected = untimed(whole)
    expected = expected[expected.strategy == "fal-margin[trainer=odd]"].reset_index(drop=True)
    pd.testing.assert_frame_equal(untimed(result), expected, check_exact=True)
