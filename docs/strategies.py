"""Write docs/strategies.md from the strategies' own words, and draw their curves.

``python docs/strategies.py`` writes the page. ``python docs/strategies.py RESULTS`` also draws
strategies.svg from the results of ``falbench compare -s all --suite quick``, as published in
results/published/quick (needs matplotlib).
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from pydantic_core import PydanticUndefined

from fal_bench.plugins.registry import Registry
from fal_bench.plugins.strategy import Strategy
from fal_bench.plugins.tables import ClassTable
from fal_bench.plugins.trainer import Trainer

HEAD = """# Strategies

Written by `python docs/strategies.py` from the strategies' own docstrings and attributes.

*Declares* are the costly inputs that the harness prepares ([what they are](writing-a-strategy.md)).
*deterministic* means that the choice follows from data and models alone, *adaptive* that budget may
be left for later, *coordinated* that clients and server exchange messages, whose bytes are counted.
What each costs in time and memory: [performance](performance.md).

![The curves that are published on the default suite](strategies.svg)

Mean test accuracy over both tasks of `quick` and 20 seeds against paper labels;
grey: random. Drawn from [the published results](../results/published/quick).

Not here, among others: LAL-RL (Konyushkova et al., 2018), which is written for two classes: it
describes the classifier and samples by the score of one of them; VAAL and GCNAL, which train
networks of their own on the whole pool in every query.
"""


def main() -> None:
    """Write the page; draw the figure if a results folder is named."""
    here = Path(__file__).parent
    (here / "strategies.md").write_text(page())
    if len(sys.argv) > 1:
        draw(Path(sys.argv[1]) / "curves.csv", here / "strategies.svg")


def page() -> str:
    """Return the page."""
    registry = Registry.discover()
    strategies = [registry.load(name) for name in registry.names()]
    strategies = [one for one in strategies if one.__module__.startswith("fal_bench.")]
    strategies.sort(key=lambda one: (one.family, one.name))
    parts = [HEAD, _table(strategies)]
    parts += [_section(strategy) for strategy in strategies]
    parts += ['## Trainers\n\nWhat clients minimise, chosen by `-s "NAME[trainer=...]"`.\n']
    parts += [_trainer(registry.trainers, name) for name in registry.trainers.names()]
    return "\n".join(parts)


def _table(strategies: list[type[Strategy]]) -> str:
    rows = ["| strategy | family | paper | declares | kind | cost |", "|---|---|---|---|---|---|"]
    for strategy in strategies:
        needs = ", ".join(f"`{type(need).__name__}`" for need in strategy().needs)
        kinds = ["deterministic"] * strategy.deterministic + ["adaptive"] * strategy.adaptive
        kinds += ["coordinated"] * (strategy.select_all is not Strategy.select_all)
        kinds += ["never ranked"] * strategy.reference
        if strategy.trainer != "cross-entropy":
            kinds.append(f"trainer `{strategy.trainer}`")
        runs = [f"[`{strategy.name}`](#{strategy.name})", strategy.family, strategy.paper]
        rows.append(f"| {' | '.join([*runs, needs, ', '.join(kinds), _cost(strategy)])} |")
    return "\n".join(rows) + "\n"


def _cost(strategy: type[Strategy]) -> str:
    """Return what the docstring says after "Cost:", to the end of that sentence."""
    said = " ".join((inspect.getdoc(strategy) or "").split())
    found = re.search(r"Cost: (.+?)\.(?: |$)", said)
    return re.sub(r"``(.+?)``", r"`\1`", found[1]) if found else ""


def _section(strategy: type[Strategy]) -> str:
    return f"## {strategy.name}\n\n{_words(strategy)}\n{_parameters(strategy.Params)}"


def _trainer(table: ClassTable[Trainer], name: str) -> str:
    trainer = table.load(name)
    return f"### {name}\n\n{_words(trainer)}\n{_parameters(trainer.Params)}"


def _words(plugin: type) -> str:
    """Return a docstring as Markdown; an indented block after "::" stays one."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.getdoc(plugin) or "", flags=re.DOTALL)
    return re.sub(r"::$", ":", text, flags=re.MULTILINE) + "\n"


def _parameters(params: type) -> str:
    """Return the parameters as a table, with the words of their class."""
    words: dict[str, str] = {}
    for one in reversed(params.__mro__):  # inherited parameters are explained where they are from
        _, _, listed = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")
        words |= re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", listed, re.DOTALL | re.MULTILINE)
    rows = []
    for name, field in params.model_fields.items():
        default = "" if field.default is PydanticUndefined else f"`{field.default}`"
        text = re.sub(r"``(.+?)``", r"`\1`", " ".join(words.get(name, "").split()))
        rows.append(f"| `{name}` | {default} | {text.replace('|', chr(92) + '|')} |")
    if not rows:
        return ""
    return "\n".join(["| parameter | default | meaning |", "|---|---|---|", *rows]) + "\n"


def draw(curves: Path, target: Path) -> None:
    """Draw one small curve a strategy."""
    import matplotlib as mpl
    import numpy as np
    import pandas as pd
    from matplotlib import pyplot as plt

    from fal_bench.stats import curve_at

    mpl.rcParams.update({"svg.hashsalt": "falbench", "svg.fonttype": "none", "font.size": 8})
    rows = pd.read_csv(curves)
    grid_points = np.sort(rows.loc[rows["strategy"] == "random", "labels"].unique()).astype(float)
    runs = rows.sort_values("cycle").groupby(["strategy", "task", "seed"])
    # At the same labels for all, between models where a strategy buys uneven portions.
    read = runs.apply(lambda run: curve_at(run["labels"], run["accuracy"], grid_points))
    means = {name: np.mean(list(own), axis=0) for name, own in read.groupby("strategy")}
    names = sorted(means)
    columns = 5
    grid, axes = plt.subplots(
        -(-len(names) // columns), columns, figsize=(10, 1.5 * -(-len(names) // columns)),
        sharex=True, sharey=True,
    )  # fmt: skip
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for name, axis in zip(names, axes.flat, strict=False):
        axis.plot(grid_points, means["random"], color="0.65", linewidth=1)
        axis.plot(grid_points, means[name], color="#1f6feb", linewidth=1.4)
        axis.set_title(name, fontsize=8)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    grid.supxlabel("labels", fontsize=8)
    grid.supylabel("accuracy", fontsize=8)
    grid.tight_layout()
    grid.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
