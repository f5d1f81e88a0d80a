"""The example of docs/fedral.md runs."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "fedral.md"


def test_counting_batch_sizes(tmp_path, monkeypatch, capsys):
    [block] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, str(PAGE), "exec"), {})
    assert "array" in capsys.readouterr().out
