"""Pages that are pointed to exist."""

import csv
import importlib.util
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
FOLDERS = ("fal_bench", "strategies", "environments", "docs", "examples")


def sources():
    for folder in FOLDERS:
        for pattern in ("*.py", "*.md", "*.toml", "*.j2"):
            yield from (REPOSITORY / folder).rglob(pattern)
    yield from REPOSITORY.glob("*.md")


def test_every_page_that_is_named_exists():
    named = {}
    for source in sources():
        for page in re.findall(
            r"docs/([a-zA-Z0-9/-]+\.(?:md|svg))", source.read_text(encoding="utf-8")
        ):
            named.setdefault(page, source)
    assert {"architecture.md", "fedral.md"} <= set(named)
    missing = {page for page in named if not (REPOSITORY / "docs" / page).exists()}
    assert not missing


def test_links_between_pages_lead_somewhere():
    for page in (REPOSITORY / "docs").rglob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page} links to {target}"


def test_the_page_of_strategies_says_what_the_strategies_say():
    """Written again by ``python docs/strategies.py``."""
    spec = importlib.util.spec_from_file_location("page", REPOSITORY / "docs" / "strategies.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (REPOSITORY / "docs" / "strategies.md").read_text() == module.page()


def test_strategies_that_exchange_messages_are_called_coordinated():
    lines = (REPOSITORY / "docs" / "strategies.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "](#" in line]
    kinds = {name: kind for name, family, _, _, kind, _ in rows if family == "coordinated"}
    assert len(kinds) >= 4
    assert {name for name, kind in kinds.items() if "coordinated" not in kind} == set()


def test_the_figure_of_strategies_shows_those_that_are_published():
    """Drawn again by ``python docs/strategies.py results/published/quick``."""
    curves = REPOSITORY / "results" / "published" / "quick" / "curves.csv"
    with curves.open(encoding="utf-8", newline="") as file:
        published = {row["strategy"] for row in csv.DictReader(file)}
    assert len(published) > 30
    figure = (REPOSITORY / "docs" / "strategies.svg").read_text(encoding="utf-8")
    assert published - set(re.findall(r">([^<>]+)</text>", figure)) == set()


def test_the_page_on_results_runs_as_written(tmp_path, monkeypatch):
    (tmp_path / "results").symlink_to(REPOSITORY / "results")
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in examples("results.md"):
        exec(code, names)
    assert set(names["some"].strategies) == {"logo", "random"}
    assert len(names["some"].seeds) == 5
    assert len(names["both"].runs) == len(names["some"].runs) + 240
    assert set(names["board"].leaderboard["metric"]) == {"accuracy", "loss"}
    assert (tmp_path / "out" / "leaderboard.csv").exists()


def examples(page):
    return re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / page).read_text(), re.DOTALL)


EXAMPLES = [
    pytest.param(page, number, id=f"{page} {number}")
    for page, count in (("fedral.md", 1), ("fedral-environment.md", 3))
    for number in range(count)
]


@pytest.mark.parametrize(("page", "number"), EXAMPLES)
def test_examples_run_and_print(page, number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(examples(page)[number], page, "exec"), {})
    assert capsys.readouterr().out
    assert len(examples(page)) == sum(one.values[0] == page for one in EXAMPLES)


def test_every_page_is_in_the_menu_of_the_site():
    docs, lines = REPOSITORY / "docs", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    menu = {line.split()[-1] for line in lines.splitlines() if line.strip().startswith("- ")}
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    assert pages - menu == set()
