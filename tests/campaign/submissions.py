"""Check the plugin of each submission, and compute a sample of its runs again.

``tox -e submissions``; ``-- -k NAME`` for one of them.
"""

import tomllib
from pathlib import Path

import pytest

SUBMISSIONS = sorted((Path(__file__).parents[2] / "results" / "submissions").glob("*/"))
EQUAL, CLOSE = 0, 3


@pytest.mark.parametrize("folder", SUBMISSIONS, ids=lambda folder: folder.name)
def test_a_submission_is_verified(folder, falbench):
    described = tomllib.loads((folder / "submission.toml").read_text(encoding="utf-8"))
    plugin = folder / described["plugin"]
    code, out, err = falbench("check", plugin)
    assert code == 0, out + err
    code, out, err = falbench("verify", folder / "published", "--plugin", plugin, "--jobs", 2)
    print(out, err)
    assert code in (EQUAL, CLOSE), out + err
