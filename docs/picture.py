"""Draw the README's picture: what each strategy saves, of the published results.

Run in the repository's folder: ``python docs/picture.py``.
"""

from pathlib import Path

import fal_bench
from fal_bench.reporting.figures import save

PUBLISHED = Path("results/published/quick")
STRATEGIES = (
    "fed-mass", "typiclust", "alfa-mix", "fal-margin", "coreset", "badge", "fairfal", "logo",
    "ft-entropy", "random", "fal-entropy", "ksas", "sal-entropy", "fedral", "oracle-greedy",
)  # fmt: skip
"""A few of each kind; the whole board has all."""

result = fal_bench.report(PUBLISHED)
board = result.leaderboard
some = result.boards[0]
# The intervals are those of the whole board, so that picture and board do not differ.
vars(some)["leaderboard"] = board[board["strategy"].isin(STRATEGIES)]
save(some.figure("savings"), Path(__file__).with_name("savings.svg"))
