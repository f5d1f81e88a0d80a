"""A site on its own: what it tells the server of errors, and what it imports for a message."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from fal_bench.deploy.config import SiteConfig
from fal_bench.deploy.messages import DeploymentError, Message
from fal_bench.deploy.site import Site

LIGHT = """
import sys
from pathlib import Path
from fal_bench.deploy.config import Federation, SiteConfig
from fal_bench.deploy.messages import Message
from fal_bench.deploy.site import Site

agreed = Federation.model_validate_json(Path("federation.json").read_text())
site = Site(agreed, SiteConfig.model_validate_json(Path("site.json").read_text()))
assert site.answer("hello", Message({"digest": agreed.digest})).facts["samples"] == 20
assert site.answer("status", Message()).facts["open"] == 0
assert not {"torch", "pandas", "scipy"} & set(sys.modules)
"""


def configured(tmp_path, **data):
    return SiteConfig.model_validate({"name": "north", "store": tmp_path / "north", "data": data})


@pytest.mark.parametrize("change", ["a cell", "other data"])
def test_what_an_error_says_of_data_stays_at_the_site(federation, tmp_path, change):
    agreed = federation(input_shape=(1, 1, 1))
    table = tmp_path / "north.csv"
    config = configured(tmp_path, kind="table", path=table, columns=["age"])
    asked = Message({"digest": agreed.digest})
    table.write_text("age\n47\n")
    digest = Site(agreed, config).samples.digest
    table.write_text("age\n47-and-a-secret\n" if change == "a cell" else "age\n48\n")
    secrets = (digest, "secret")
    reply = Site(agreed, config).answer("hello", asked).facts["error"]
    assert "north" in reply
    assert not any(one in reply for one in secrets)
    [*_, line] = (tmp_path / "north" / "messages.jsonl").read_text().splitlines()
    if change == "a cell":
        assert "47-and-a-secret" in json.loads(line)["error"]


@pytest.mark.parametrize("change", ["half of it", "an array of np.save", "a member of text"])
def test_a_file_of_arrays_that_is_none_is_named(federation, tmp_path, change):
    path = tmp_path / "north.npz"
    np.savez(path, samples=np.zeros((20, 1, 8, 8)))
    if change == "half of it":
        path.write_bytes(path.read_bytes()[:500])
    elif change == "an array of np.save":
        with path.open("wb") as file:
            np.save(file, np.zeros((20, 1, 8, 8)))
    else:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("samples", "text")
    with pytest.raises(DeploymentError, match=r"north\.npz"):
        _ = Site(federation(), configured(tmp_path, kind="arrays", path=path)).samples


def test_a_table_with_cells_beyond_its_header_says_which_columns_it_has(federation, tmp_path):
    table = tmp_path / "north.csv"
    table.write_text("age,income\n1,2,3\n")
    config = configured(tmp_path, kind="table", path=table, columns=["weight"])
    with pytest.raises(DeploymentError, match=r"'weight'; it has age, income\."):
        _ = Site(federation(input_shape=(1, 1, 1)), config).samples


def test_looking_whether_people_have_answered_needs_no_pytorch(federation, tmp_path):
    np.savez(tmp_path / "north.npz", samples=np.zeros((20, 1, 8, 8)))
    config = configured(tmp_path, kind="arrays", path=tmp_path / "north.npz")
    (tmp_path / "federation.json").write_text(federation().model_dump_json())
    (tmp_path / "site.json").write_text(config.model_dump_json())
    given = {"cwd": tmp_path, "capture_output": True, "text": True}
    done = subprocess.run([sys.executable, "-c", LIGHT], **given)
    assert done.returncode == 0, done.stderr
