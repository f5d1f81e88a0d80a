"""Draw the README's picture: what each strategy saves, of the published results.

Run in the repository's folder: ``python docs/picture.py``.
"""

from pathlib import Path

import fal_bench
from fal_bench.reporting.figures import save

result = fal_bench.report("results/published/standard")
save(result.figure("savings"), Path(__file__).with_name("savings.svg"))
