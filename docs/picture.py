"""Draw the README's picture: the leaderboard of the default suite as an SVG.

Run after ``falbench compare --target-acc 0.5``: ``python docs/picture.py results``.
"""

import re
import sys
from pathlib import Path

from rich.console import Console

import fal_bench

result = fal_bench.compare(target_acc=0.5, out=sys.argv[1])
console = Console(record=True, width=100)
console.print(result)
svg = console.export_svg(title="falbench compare --target-acc 0.5")
# Rich refers to a web font; the picture must not load anything.
svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)
Path(__file__).with_name("leaderboard.svg").write_text(svg)
