"""What the page on data sets shows can be asked for."""

import re
from pathlib import Path

from fal_bench.data import loading
from fal_bench.data.loading import dataset_names
from fal_bench.inputs.selector import Selector
from fal_bench.task import ModelSpec, Task

PAGE = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")


def test_every_data_set_has_its_row_with_its_parameters():
    rows = dict(re.findall(r"^\| (`.*?`(?:, `.*?`)*) \| .* \| (`.*?`) \|$", PAGE, re.MULTILINE))
    told = {
        name: re.findall(r"`(\w+)`", parameters)
        for names, parameters in rows.items()
        for name in re.findall(r"`(.*?)`", names)
    }
    assert set(dataset_names()) <= set(told)
    for name in dataset_names():
        assert list(loading._parameters(loading._loader(name))) == told[name]


def test_every_selector_is_accepted():
    selectors = re.findall(r'^dataset = "(.*)"', PAGE, re.MULTILINE)
    assert len(selectors) >= 5
    for text in selectors:
        selector = Selector.parse(Task(dataset=text).dataset)
        assert loading._arguments(selector, loading._loader(selector.name))


def test_the_linear_head_is_a_model():
    assert 'model = { kind = "mlp", hidden = [] }' in PAGE
    assert Task(model={"kind": "mlp", "hidden": []}).model == ModelSpec(kind="mlp", hidden=())
