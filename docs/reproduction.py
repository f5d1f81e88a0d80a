"""Write docs/reproduction.md from results/published: ``python docs/reproduction.py``.

A claim of a paper is a comparison of two strategies. It is held against every published task on which both
were run, whatever comes out; one rule says what all of them together say. Nothing on the page is
written by hand but what the papers claim.
"""

# ruff: noqa: E501 - what papers claim is prose
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from fal_bench import api
from fal_bench.reporting.answer import answer
from fal_bench.reporting.columns import saving_with_interval
from fal_bench.reporting.targets import Question
from fal_bench.results.model import Results
from fal_bench.task import Task

HERE = Path(__file__).parent
PAGE = HERE / "reproduction.md"
PUBLISHED = HERE.parent / "results" / "published"

Says = Literal["holds", "mixed", "does not hold", "cannot be said"]


@dataclass(frozen=True)
class Claim:
    """That a strategy needs fewer labels than another one.

    Attributes:
        text: the claim in a few words.
        by: who makes it.
        pairs: strategies, each with the one that it is said to beat.
        where: on which tasks it is made.
        bill: the labels that are counted.
    """

    text: str
    by: str
    pairs: tuple[tuple[str, str], ...]
    where: Callable[[Task], bool] = lambda _: True
    bill: str = "strict"


@dataclass(frozen=True)
class Section:
    """What one paper claims.

    Attributes:
        title: the heading.
        text: what the paper measured, and how that differs from what is here.
        claims: the claims.
    """

    title: str
    text: str
    claims: tuple[Claim, ...] = field(default=())


def iid(task: Task) -> bool:
    """Whether clients are alike."""
    return task.partition.kind == "iid"


def skewed(task: Task) -> bool:
    """Whether clients differ in their classes."""
    return not iid(task)


def many_classes(task: Task) -> bool:
    """Whether a task has 100 classes."""
    return task.dataset.startswith("digit-pairs")


def cifar10(task: Task) -> bool:
    """Whether a task is of CIFAR-10's images."""
    return "cifar10" in task.dataset


SECTIONS = (
    Section(
        "Coordination",
        "Mohr & Weinshall (arXiv 2608.18634, 2026): choosing for coverage in a space that clients share, "
        "coordinated by the server, matters most for IID clients with few labels, and at alpha = 0.1 the "
        "advantage shrinks or turns. CIFAR-10, two IID clients, 10 labels in all. Each "
        "coordinated strategy is held against the same method with each client alone.",
        (
            Claim(
                "coordination saves labels for IID clients", "Mohr & Weinshall",
                (("fed-typiclust", "typiclust"), ("fed-probcover", "probcover")), iid,
            ),
            Claim(
                "coordination saves labels for heterogeneous clients", "Mohr & Weinshall: less, or not",
                (("fed-typiclust", "typiclust"), ("fed-probcover", "probcover")), skewed,
            ),
        ),
    ),
    Section(
        "Whose model",
        "FairFAL (Zong & Huang, CVPR 2026; from a third party's note on the paper) compares strategies that ask the "
        "global model with the same ones that ask a model trained on the client's labels alone, on CIFAR-10.",
        (
            Claim("entropy should ask the local model", "FairFAL (note)", (("sal-entropy", "fal-entropy"),)),
            Claim("coreset should ask the global model", "FairFAL (note)", (("coreset", "sal-coreset"),)),
        ),
    ),
    Section(
        "Many classes",
        "On CIFAR-100 KAFAL's curves (arrays in the plotting notebook of another project, FAST) have random ahead "
        "of entropy; FairFAL's table (note) has random ahead of IFAL. Our 100 classes are pairs of digits.",
        (
            Claim("random beats entropy with 100 classes", "KAFAL's curves (notebook)",
                  (("random", "fal-entropy"),), many_classes),
            Claim("random beats IFAL with 100 classes", "FairFAL (note)",
                  (("random", "ifal"),), many_classes),
        ),
    ),
    Section(
        "KAFAL",
        "KAFAL (Cao et al., ICCV 2023) changes the selection (KSAS) and the local loss (KCFU), and its curves "
        "(notebook) compare both together with strategies that have neither: 14.6 % of CIFAR-10 to 60 % accuracy "
        "against 20.4 % for random.",
        (
            Claim("KAFAL beats random", "KAFAL's curves (notebook)", (("ksas[trainer=kcfu]", "random"),)),
            Claim("its loss alone saves labels", "part of it", (("random[trainer=kcfu]", "random"),)),
            Claim("its selection alone saves labels", "part of it",
                  (("ksas", "random"), ("ksas[trainer=kcfu]", "random[trainer=kcfu]"))),
        ),
    ),
    Section(
        "FEAL",
        "FEAL (Chen et al., CVPR 2024) selects by evidential uncertainty of local and global model, and trains with "
        "an evidential loss, on medical images from several centres.",
        (
            Claim("FEAL beats random", "FEAL", (("feal[trainer=evidential]", "random"),)),
            Claim("its selection alone saves labels", "part of it",
                  (("feal[trainer=evidential]", "random[trainer=evidential]"),)),
        ),
    ),
    Section(
        "LoGo",
        "LoGo (Kim et al., CVPR 2023) reports that it outperforms six strategies in 38 settings, on CIFAR-10, SVHN "
        "and three medical sets, from 5 to 60 or 80 % of the data. Its repository names random, entropy, coreset, "
        "BADGE, GCNAL and ALFA-Mix. On its own protocol (`logo-cifar10-jpegq75`, alpha 0.1, up to a quarter of the labels), "
        "`logo` is 0.8 to 2.7 points above each of the four others at every look after the first, in the mean of three seeds.",
        tuple(
            Claim(f"LoGo beats {name}", "LoGo", (("logo", other),))
            for name, other in (
                ("random", "random"), ("entropy", "fal-entropy"), ("coreset", "coreset"),
                ("BADGE", "badge"), ("ALFA-Mix", "alfa-mix"),
                ("BADGE of a fine-tuned model", "ft-badge"), ("BADGE of two models", "ens-badge"),
            )
        ),
    ),
    Section(
        "FairFAL",
        "FairFAL's table (note): Fashion-MNIST, alpha 0.1, long tail 20, 45 % of the labels; FairFAL 87.37 %, KAFAL "
        "87.05 %, LoGo 86.98 %, BADGE 86.65 %, entropy 86.28 %, coreset 86.15 %, random 85.60 %.",
        (
            Claim("FairFAL beats random for heterogeneous clients", "FairFAL (note)",
                  (("fairfal", "random"),), skewed),
            Claim("FairFAL beats LoGo for heterogeneous clients", "FairFAL (note)",
                  (("fairfal", "logo"),), skewed),
        ),
    ),
    Section(
        "Stratified and by snapshots",
        "ClaSP PE (TMLR 2026) is made for one pool of medical images: predictive entropy, stratified by the "
        "predicted class, with noise that decays; it claims to be the only method that beats random in most of 24 "
        "settings. TM-FAL (MICCAI 2025) asks snapshots of the models of earlier rounds, on medical images; what it "
        "claims we know at second hand. Both run here with each client's pool and the federation's model.",
        (
            Claim("ClaSP PE beats random", "ClaSP PE", (("clasp-pe", "random"),)),
            Claim("ClaSP PE beats entropy", "ClaSP PE", (("clasp-pe", "fal-entropy"),)),
            Claim("TM-FAL beats random", "TM-FAL (second hand)", (("tm-fal", "random"),)),
            Claim("TM-FAL beats entropy", "TM-FAL (second hand)", (("tm-fal", "fal-entropy"),)),
        ),
    ),
    Section(
        "CIFAR-10",
        "KAFAL's curves (notebook) have margin and entropy ahead of random from 15 % of the labels on, at 58 % accuracy "
        "and more, after 50 rounds of 40 epochs. Ours is CIFAR-10 (JPEG q75): 10,000 images of quality 75, a CNN of "
        "width 32 and 10 rounds of 2 epochs; `random` ends at 42 %, and learns 47 % of the labels that it is trained with, so "
        "that part of a difference is speed of learning. The suite is "
        "[`cifar10-jpegq75.toml`](../examples/suites/cifar10-jpegq75.toml); its images are not part of the project. In "
        "[`cifar-features-jpegq75.toml`](../examples/suites/cifar-features-jpegq75.toml) the same images go through a frozen "
        "network, and a linear head is trained: `random` ends at 66 %, but no network learns.",
        (
            Claim("margin and entropy beat random on CIFAR-10", "KAFAL's curves (notebook)",
                  (("fal-margin", "random"), ("fal-entropy", "random")), cifar10),
        ),
    ),
    Section(
        "Labels that are read but not bought",
        "FedRAL claims about 50 % on CIFAR-10 with 3.45 % of its evaluation data against about 5 to 6 % for F-AL; "
        "`fal-margin` is one reading of F-AL. LeaDQ (Sun et al., AAAI 2025) claims 53.98 against 48.09 % for "
        "uncertainty sampling on a stream of SVHN at alpha = 0.1; `leadq-pool` takes its arrivals from the pool. Both "
        "read labels that they do not buy: *paper* labels leave these out, *strict* labels count them.",
        tuple(
            Claim(f"{text}, {bill} labels", by, pairs, bill=bill)
            for text, by, pairs in (
                ("FedRAL beats margin", "FedRAL", (("fedral", "fal-margin"),)),
                ("FedRAL beats random", "FedRAL", (("fedral", "random"),)),
                ("LeaDQ beats uncertainty sampling", "LeaDQ",
                 (("leadq-pool", "fal-entropy"), ("leadq-pool", "fal-least-confidence"),
                  ("leadq-pool", "fal-margin"))),
            )
            for bill in ("paper", "strict")
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One claim on one task.

    Attributes:
        folder: the published results.
        task: the task.
        strategy: what is said to be better.
        baseline: than what.
        row: the strategy's row of the leaderboard of these two alone.
    """

    folder: str
    task: str
    strategy: str
    baseline: str
    row: dict[str, Any]

    @property
    def verdict(self) -> str:
        """What the leaderboard says."""
        return str(self.row["verdict"])


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def folders() -> list[str]:
    """Return the names of all published results."""
    return sorted(path.name for path in PUBLISHED.iterdir() if path.is_dir())


@cache
def opened(folder: str) -> Results:
    """Return published results; many lines ask them."""
    return api.load(PUBLISHED / folder)


@cache
def lines(claim: Claim) -> tuple[Line, ...]:
    """Return a claim on every published task on which its strategies were run, once a task."""
    found = []
    seen = set()  # suites share tasks, and their runs; the most seeds speak for a task
    for folder in sorted(folders(), key=lambda name: -opened(name).runs["seed"].nunique()):
        results = opened(folder)
        for spec, name in zip(results.tasks["spec"], results.tasks["name"], strict=True):
            for pair in claim.pairs:
                here = claim.where(spec) and set(pair) <= set(results.strategies)
                if here and (spec.hash, pair) not in seen:
                    seen.add((spec.hash, pair))
                    row = row_of(folder, str(name), pair, claim.bill)
                    found.append(Line(folder, str(name), *pair, row))
    return tuple(sorted(found, key=lambda line: line.folder))


@cache
def row_of(folder: str, task: str, pair: tuple[str, str], bill: str) -> dict[str, Any]:
    """Return the row of a strategy beside the other one alone."""
    results = opened(folder).narrow(tasks=task, strategies=pair)
    board = answer(Question.make("auto", None, bill, pair[1], results), results).leaderboard
    return next(row for row in board.to_dict("records") if row["strategy"] == pair[0])


def says(found: Sequence[Line]) -> Says:
    """Say what all lines of a claim say together.

    It holds if it is seen and never turned round, does not hold the other way about, and is mixed if
    there are both.
    """
    verdicts = {line.verdict for line in found}
    if {"better", "worse"} <= verdicts:
        return "mixed"
    if "better" in verdicts:
        return "holds"
    return "does not hold" if verdicts & {"worse", "equal"} else "cannot be said"


def counts(found: Sequence[Line]) -> str:
    """Count the verdicts of lines: "3 better, 1 worse, 2 undecided"."""
    words = {"better": "better", "worse": "worse", "equal": "equal"}
    verdicts = [words.get(line.verdict, "undecided") for line in found]
    kinds = [kind for kind in ("better", "worse", "equal", "undecided") if kind in verdicts]
    return ", ".join(f"{verdicts.count(kind)} {kind}" for kind in kinds) or "not run"


HEAD = """# Which published claims hold here

{headline}

This page compares what papers claim with all of our [published results](published.md). `python docs/reproduction.py`
writes it, verdicts included. Each line of a table is what

```
falbench report results/published/FOLDER --task TASK -s STRATEGY -s BASELINE --baseline BASELINE
```

prints: the share of labels saved over a ladder of seven targets, with its 95 % interval ([statistics](statistics.md)).

**The rule.** A claim is tested on *every* published task on which both strategies were run. It *holds* if the strategy is
better on some of these tasks and worse on none. It is *mixed* if the strategy is better on some and worse on others. It *does
not hold* if the strategy is better on none, and worse or equal on some. Otherwise it *cannot be said*. Each line is a test
of its own at 5 %, without a correction for multiple tests: a single line among many is only a hint.

**What these results are.** Only one task, [`logo-cifar10-jpegq75`](suites/logo-cifar10.md#measured-here), follows a paper's own protocol, up to a
quarter of the labels and with three seeds, which are too few for a verdict. The others are smaller: digits, Fashion-MNIST, a fifth of
CIFAR-10, short texts, series and tables, mostly with perceptrons and 2 to 3,000 labels. There the numbers cannot be
compared with the paper's; the *direction* can.

"(Note)" and "(notebook)" mark claims that we know at second hand.

"""


def page() -> str:
    """Return the text that the page should have."""
    claims = [claim for section in SECTIONS for claim in section.claims]
    verdicts = [says(lines(claim)) for claim in claims]
    plural = {"holds": "hold", "mixed": "are mixed", "does not hold": "do not hold"}
    kinds: tuple[Says, ...] = ("holds", "mixed", "does not hold", "cannot be said")
    summed = [
        f"{verdicts.count(kind)} {plural.get(kind, kind)}" for kind in kinds if kind in verdicts
    ]
    parts = [HEAD.format(headline=f"**{len(claims)} claims: {', '.join(summed)}.**")]
    parts.append("| claim | by | on our tasks | here |\n|---|---|---|---|\n")
    for claim, verdict in zip(claims, verdicts, strict=True):
        parts.append(f"| {claim.text} | {claim.by} | {counts(lines(claim))} | {verdict} |\n")
    for section in SECTIONS:
        parts.append(f"\n## {section.title}\n\n{section.text}\n")
        for claim in section.claims:
            parts.append(
                f"\n**{claim.text[0].upper()}{claim.text[1:]}** ({claim.by}): {says(lines(claim))}.\n\n"
            )
            parts.append(_table(lines(claim)))
    return "".join(parts)


def _table(found: Sequence[Line]) -> str:
    head = "| results | task | comparison | saving | verdict |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| {line.folder} | {line.task} | `{line.strategy}` against "
        f"`{line.baseline}` | {saving_with_interval(line.row) or '-'} | {line.verdict} |\n"
        for line in found
    )


if __name__ == "__main__":
    main()
