"""``falbench deploy new``: a folder that can be used as it is written."""

import re
import tomllib
from pathlib import Path

import pytest

from fal_bench.deploy.config import read_federation, read_site
from fal_bench.deploy.messages import DeploymentError
from fal_bench.task.suite import load_suite

PAGE = (Path(__file__).parents[2] / "docs" / "real-federation.md").read_text()
[SUITE] = re.findall(r"```toml\n# digits.toml\n(.*?)```", PAGE, re.DOTALL)
ARGUMENTS = re.search(r"falbench (deploy new .*)", PAGE)[1].split()


@pytest.fixture
def written(falbench, tmp_path):
    (tmp_path / "digits.toml").write_text(SUITE)
    code, _, error = falbench(*ARGUMENTS)
    assert code == 0, error
    return tmp_path / "my-federation"


def test_the_task_of_the_page_becomes_a_federation(written):
    agreed = read_federation(written / "federation.toml")
    [task] = load_suite(str(written.parent / "digits.toml")).tasks
    assert agreed.task == task
    assert agreed.sites == ("north", "south", "east")
    assert agreed.input_shape == (1, 8, 8)
    for site in agreed.sites:
        own = read_site(written / "sites" / f"{site}.toml")
        assert (own.name, own.store) == (site, written / "sites" / site)


def test_no_file_of_a_site_travels_with_the_app(written):
    app = tomllib.loads((written / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert not [pattern for pattern in app["fab-include"] if "sites" in pattern or "**" in pattern]
    assert app["components"]["clientapp"].split(":")[0].replace(".", "/") == "my_federation_app/app"
    assert (written / "my_federation_app" / "app.py").exists()


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (["my-federation", "--task", "digits.toml"], "my-federation"),
        (["My_Federation", "--task", "digits.toml"], "My_Federation"),
        (["other", "--task", "digits.toml", "-s", "oracle-greedy"], "reference"),
        (["other", "--task", "digits.toml", "--sites", "a,b"], "sites"),
        (["other", "--task", "digits.toml", "--sites", "a,b,../c"], "sites"),
        (["other", "--task", "quick.toml"], "quick"),
        (["other", "--task", "several.toml"], "several"),
    ],
)
def test_what_cannot_be_written_is_refused(written, falbench, arguments, culprit):
    several = SUITE + SUITE.replace("digits-at-three-sites", "another")
    (written.parent / "several.toml").write_text(several)
    code, _, error = falbench("deploy", "new", *arguments)
    assert (code, error.count("\n")) == (2, 1)
    assert culprit in error
    assert not (written.parent / "other").exists()


def test_a_wrong_key_is_named_with_its_file(written):
    path = written / "federation.toml"
    path.write_text(path.read_text().replace("patience", "patients"))
    with pytest.raises(DeploymentError, match=r"federation\.toml.*patients.*patience"):
        read_federation(path)
