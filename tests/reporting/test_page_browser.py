"""The HTML report in a real browser: it draws, asks for nothing, and reports no error."""

import io
import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from boards import ASKED, BASE, CHARGES, ROWS, comparison, context, render, runs

from fal_bench.reporting.context import Entrant, Rung
from fal_bench.reporting.export import to_csv
from fal_bench.reporting.page import render_page
from fal_bench.reporting.steps import steps_of
from fal_bench.results.model import MissingRun

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMEDRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and CHROMEDRIVER), reason="there is no chromium and chromedriver on the PATH"
    ),
]
EVIL = "<script>alert(1)</script><b>bold</b>"
FLAGS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
    "disable-background-networking", "disable-component-update", "window-size=1280,900",
)  # fmt: skip


DRAWN = """window.Plotly && [...document.querySelectorAll('[data-figure]')].every(
    plot => !plot.getClientRects().length || plot.querySelector('.main-svg .infolayer'))"""
"""Every figure that is seen is drawn."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser, tmp_path):
    """Open a report at a width and in a colour scheme; wait until its figures are drawn."""

    def _show(html, width=1280, scheme="light", address=""):
        path = tmp_path / "report.html"
        path.write_text(html, encoding="utf-8")
        browser.get_log("performance")
        browser.get_log("browser")
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        prefer(browser, scheme)
        browser.get("about:blank")
        browser.get(path.as_uri() + address)
        wait(browser, DRAWN)
        return browser

    return _show


def prefer(browser, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def wait(browser, condition):
    WebDriverWait(browser, 20, poll_frequency=0.02).until(
        lambda b: b.execute_script(f"return {condition}")
    )


def ask(browser, expression):
    """The value of an expression on the page."""
    return browser.execute_script("return " + expression)


def find(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def requests(browser):
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        # The browser's own start page may still be loading.
        and not event["params"]["documentURL"].startswith("chrome://")
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_draws_without_requests_errors_or_page_scroll(show, width, scheme):
    browser = show(render(), width, scheme)
    assert [url for url in requests(browser) if not url.startswith("data:")] == [
        browser.current_url
    ]
    assert browser.get_log("browser") == []
    assert ask(browser, "document.documentElement.scrollWidth") <= width
    drawn = browser.execute_script(
        "document.querySelectorAll('details').forEach(d => { d.open = true; });"
        "return [...document.querySelectorAll('.plot')].map(p => "
        "[p.querySelectorAll('.scatterlayer .js-line').length, p.getBoundingClientRect().right])"
    )
    assert len(drawn) == len(ASKED.tasks) + 3 + 2  # three over all tasks, no ledger, two costs
    wait(browser, DRAWN)
    assert all(right <= width for _, right in drawn)
    assert [lines >= 3 for lines, _ in drawn[:2]] == [True, True]


def test_a_request_would_be_refused(show):
    browser = show(render())
    requests(browser)
    browser.execute_script(
        "document.body.append(new Image()); "
        "document.body.lastChild.src = 'http://127.0.0.1:9/x.png'"
    )
    wait(browser, "document.body.lastChild.complete")
    assert "Content Security Policy" in browser.get_log("browser")[0]["message"]


def test_figures_follow_the_colour_scheme(show):
    browser = show(render(), scheme="light")
    colour = "document.querySelector('.plot .xtick text').style.fill"
    field = "document.getElementById('pairwise-plot').data[0].textfont.color"
    wait(browser, f"{colour} === 'rgb(27, 31, 36)' && {field} === '#1b1f24'")
    prefer(browser, "dark")
    wait(browser, f"{colour} === 'rgb(230, 233, 238)' && {field} === '#e6e9ee'")


LINES = "document.getElementById('{}').data.filter(t => t.name).map(t => [t.name, t.line.color])"


def lines(browser, key):
    """The colours of a figure's lines, by strategy."""
    return dict(ask(browser, LINES.format(key)))


def test_a_strategy_is_chosen_with_the_keyboard_and_the_others_are_grey(show):
    browser = show(render())
    box = browser.find_elements(By.CSS_SELECTOR, "#switches input")[1]
    before = lines(browser, "curves-0")
    assert len(set(before.values())) == 3
    box.send_keys(Keys.SPACE)
    after = lines(browser, "curves-0")
    assert after["random"] == before["random"] != after["mine[k=3]"]
    shown = (
        "document.getElementById('curves-0').data"
        ".filter(t => t.meta?.part && t.visible).map(t => t.legendgroup)"
    )
    assert ask(browser, f"[...new Set({shown})].sort()") == ["0", "2"]  # bands of the chosen alone
    assert "show=0+2" in browser.current_url
    box.send_keys(Keys.SPACE)
    assert lines(browser, "curves-0") == before
    none, everyone = (find(browser, f"[data-switch='{name}']") for name in ("none", "all"))
    none.send_keys(Keys.ENTER)
    assert len(set(lines(browser, "curves-0").values())) == 1
    everyone.send_keys(Keys.ENTER)
    assert len(set(lines(browser, "costs-select").values())) == 2


def ladder(seeds=7):
    """A comparison over a ladder of targets, in which some pairs cannot be compared."""
    rungs = tuple(Rung(value, f"auto-{name}", (("a", value), ("b", value + 0.02)))
                  for value, name in ((0.45, 30), (0.5, 60), (0.52, 90)))  # fmt: skip
    names = ("random", "mine", "poor", "never", "greedy")
    rows = []
    for task in ("a", "b"):
        rows += runs("random", *BASE, task=task)
        rows += runs("mine", *[0.8 * n + n % 3 / 10 for n in BASE], task=task, extra=2)
        for number, name in enumerate(("poor", "never")):
            for row in runs(name, *[None] * 7, task=task):
                rows.append({**row, "accuracy": row["accuracy"] + row["seed"] * number / 1000})
        rows += runs("greedy", *[0.7 * n for n in BASE], task=task, extra=40)
    asked = context(
        *names, seeds=seeds, tasks=("a", "b"), accounting="strict", target_name="auto",
        ladder=rungs, task_targets=rungs[1].by_task,
    )  # fmt: skip
    return comparison(rows, asked)


def test_every_step_shows_the_numbers_of_its_csv_file(show):
    result = ladder()
    browser = show(render_page(result))
    boards = [step.board for step in steps_of(result, 0)]
    assert len(boards) == 2 * 4 + 2
    cells = (
        "[...document.querySelectorAll('#leaderboard ~ * tr[data-place] td[data-value]')].map(c =>"
        " [c.closest('tr').querySelector('th').dataset.text, c.dataset.key, c.dataset.value])"
    )
    settings = ask(browser, "JSON.parse(document.getElementById('memory').textContent).steps")
    leads = set()
    for board, step in zip(boards, settings, strict=True):
        for name, value in step.items():
            choose(browser, name, value)
        table = pd.read_csv(io.StringIO(to_csv(board.leaderboard))).set_index("strategy")
        found = ask(browser, cells)
        assert len(found) > 8
        for name, key, value in found:
            if key not in ("rank", "verdict"):
                assert float(value) == table[key][name], (step, name, key)
        lead = find(browser, ".lead").text
        assert board.verdict[0] in lead
        leads.add(lead)
    assert len(leads) >= 4


def choose(browser, control, value):
    """Set a control of the bar."""
    browser.execute_script(
        "const one = document.querySelector(`[data-control='${arguments[0]}']`);"
        "one.value = arguments[1]; one.dispatchEvent(new Event('input'))",
        control,
        value,
    )


def test_what_is_shown_stands_in_the_address(show):
    page = render_page(ladder())
    browser = show(page)
    assert "#" not in browser.current_url
    for control, value in (("target", "accuracy-auto-90"), ("labels", "paper"), ("find", "m")):
        choose(browser, control, value)
    address = browser.current_url[browser.current_url.index("#") :]
    rows = "[...document.querySelectorAll('.board tbody tr')].filter(r => !r.hidden).length"
    seen = ask(browser, f"[document.querySelector('.lead').textContent, {rows}]")
    assert seen[1] == 2  # random and mine
    assert ask(browser, "document.getElementById('count').textContent").startswith("2 of 5")
    browser = show(page, address=address)
    assert ask(browser, f"[document.querySelector('.lead').textContent, {rows}]") == seen
    # A task that has no board under this count takes the reader to the one that has.
    choose(browser, "task", "b")
    assert ask(browser, "document.querySelector('[data-control=labels]').value") == "strict"
    figures = "[...document.querySelectorAll('figure[data-task]')].filter(f => !f.hidden).length"
    assert ask(browser, figures) == 1
    browser = show(page, address="#target=nothing&task=unknown&show=99")
    assert browser.get_log("browser") == []


def test_the_pointer_reads_every_pair_as_the_table_has_it(show):
    result = ladder()
    browser = show(render_page(result))
    figure = find(browser, "#pairwise-plot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", figure)
    numbers = browser.execute_script(
        "const rows = [...document.getElementById('pairwise').parentElement.querySelectorAll("
        "'details tbody tr')]; return rows.map(r => [...r.cells].map(c => c.textContent))"
    )
    names = [row[0] for row in numbers]
    table = result.boards[0].leaderboard.set_index("strategy")
    unknown = 0
    for down, row in enumerate(numbers):
        for across, text in enumerate(row[1:]):
            x, y = browser.execute_script(
                "const {xaxis, yaxis} = arguments[0]._fullLayout;"
                "const box = arguments[0].getBoundingClientRect();"
                "return [box.left + xaxis._offset + xaxis.c2p(arguments[1]),"
                " box.top + yaxis._offset + yaxis.c2p(arguments[2])]",
                figure, across, down,
            )  # fmt: skip
            point = {"type": "mouseMoved", "x": x, "y": y}
            browser.execute_cdp_cmd("Input.dispatchMouseEvent", point)
            said = f"{row[0]} against {names[across]}: {text}" if across != down else "itself"
            layer = "document.querySelector('#pairwise-plot .hoverlayer').textContent"
            wait(browser, f"{layer}.includes({json.dumps(said)})")
            unknown += text == "n/c"
            if names[across] == "random" and across != down and text != "n/c":
                saving = table["saving_vs_random"][row[0]]
                assert text.startswith(f"{100 * saving:+.0f} %" if round(100 * saving) else "0 %")
    assert unknown == 2


def named(browser):
    """The strategies of the board, from top to bottom."""
    return ask(
        browser, "[...document.querySelectorAll('.board tbody th')].map(th => th.dataset.text)"
    )


def test_the_board_sorts_by_mouse_and_keyboard(show):
    browser = show(render())
    assert named(browser) == ["mine[k=3]", "random", "half"]

    def heading(key):
        return find(browser, f".board thead [data-key='{key}']")

    heading("labels").find_element(By.TAG_NAME, "button").click()
    assert heading("labels").get_attribute("aria-sort") == "ascending"
    assert named(browser) == ["mine[k=3]", "random", "half"]
    heading("labels").find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert heading("labels").get_attribute("aria-sort") == "descending"
    # Incomplete strategies stay below, whatever the order.
    assert named(browser) == ["random", "mine[k=3]", "half"]
    heading("strategy").find_element(By.TAG_NAME, "button").click()
    assert heading("labels").get_attribute("aria-sort") is None
    assert named(browser) == ["mine[k=3]", "random", "half"]
    assert browser.get_log("browser") == []


def test_numbers_sort_as_numbers_and_gaps_come_last(show):
    rows = [row for name, n in (("a", 15), ("b", 25)) for row in runs(name, n)]
    rows += runs("c", 15, extra=90)  # 105 strict labels; as text that were less than 15
    missing = [MissingRun("a", "absent", 0, "")]
    asked = context("a", "b", "c", "absent", missing=missing, accounting="strict")
    browser = show(render_page(comparison(rows, asked)))
    button = "document.querySelector('.board thead [data-key=labels] button')"
    browser.execute_script(f"{button}.click()")
    assert named(browser) == ["a", "b", "c", "absent"]
    browser.execute_script(f"{button}.click()")
    assert named(browser) == ["c", "b", "a", "absent"]


def download(browser, folder, plot, form):
    """Click a figure's button and return what it saves."""
    folder.mkdir()
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    find(browser, f"[data-plot='{plot}'][data-save='{form}']").click()
    deadline = time.monotonic() + 30
    while not (found := list(folder.glob(f"*.{form}"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    (file,) = found
    return file.read_bytes()


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_figure_is_downloaded(show, tmp_path, form):
    browser = show(render())
    content = download(browser, tmp_path / form, "curves-0", form)
    if form == "png":
        assert content.startswith(b"\x89PNG")
    else:
        # It has a title, and a legend of its own, which the page has outside of the figure.
        assert b"mine[k=3]" in content
        assert b"Learning curves of a" in content
        assert b"50 % accuracy" in content
        assert b"<svg" in content
    assert browser.get_log("browser") == []


def many(number=32):
    """Many strategies; the last one reads so many labels for itself that it ends far out."""
    names = [f"strategy-{place:02d}[k=3]" for place in range(number)]
    rows = runs("random", 24, 26)
    for place, name in enumerate(names):
        extra = 900 if place == number - 1 else 0
        rows += runs(name, 15 + place / 2, 15.5 + place / 2, extra=extra)
    asked = context("random", *names, seeds=2, accounting="strict")
    return render_page(comparison(rows, asked))


def test_of_many_strategies_few_have_colours_and_the_axis_follows_these(show):
    browser = show(many())
    axis = "document.getElementById('curves-0').layout.xaxis"
    bands = (
        "document.getElementById('curves-0').data"
        ".filter(t => t.visible && t.meta?.part === 'band').length"
    )
    colours = "new Set(document.getElementById('curves-0').data.map(t => t.line?.color)).size"
    assert ask(browser, f"[{bands}, {axis}.type, {colours}]") == [5, "linear", 7]
    find(browser, "[data-switch='all']").click()
    assert ask(browser, f"[{bands}, {axis}.type]") == [33, "log"]
    assert "log" in ask(browser, f"{axis}.title.text")
    find(browser, "[data-switch='first']").click()
    assert ask(browser, f"[{bands}, {axis}.type]") == [5, "linear"]
    assert browser.get_log("browser") == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen_holds_question_answer_and_all_strategies(show, width, height):
    browser = show(many(), width=width)
    bottom = "document.querySelector('.board tbody tr:last-child').getBoundingClientRect().bottom"
    assert ask(browser, bottom) <= height
    for name in ("h1", ".lead", ".setting", "td.forest b"):
        assert find(browser, name).is_displayed()
    # The bar stays in sight.
    browser.execute_script("document.getElementById('costs').scrollIntoView()")
    assert ask(browser, "document.getElementById('bar').getBoundingClientRect().top") == 0


PINNED = "document.querySelector('.pinned')"


def test_names_of_rows_stay_while_a_wide_figure_is_scrolled(show):
    browser = show(many(), width=390)
    box = "document.getElementById('pairwise-plot').closest('.scroll')"
    names = f"[...{PINNED}.querySelectorAll('.ytick text')]"
    wait(browser, f"{names}.length === 33")
    own = "[...document.querySelectorAll('#pairwise-plot .ytick text')]"
    assert browser.execute_script(
        f"{box}.scrollLeft = 10000;"
        f"return {names}.map(n => n.textContent).join() === {own}.map(n => n.textContent).join()"
        f"&& {box}.scrollLeft > 100"
    )
    places = browser.execute_script(
        f"return {names}.map((name, at) => {{"
        f"const [here, there] = [name, {own}[at]].map(n => n.getBoundingClientRect());"
        "return [here.left, here.right, here.top - there.top, there.right]; })"
    )
    for left, right, apart, scrolled in places:
        assert 16 <= left < right < 220
        assert abs(apart) < 1  # each beside its row
        assert scrolled < right - 100  # while the figure's own names have gone
    # Nothing shines through, in either scheme.
    for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")):
        prefer(browser, scheme)
        background = f"getComputedStyle({PINNED}.querySelector('svg')).backgroundColor"
        wait(browser, f"{PINNED}.childElementCount === 1 && {background} === '{colour}'")
    fill = f"{names}[0].style.fill"
    wait(browser, f"{fill} === document.querySelector('#pairwise-plot .ytick text').style.fill")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert ask(browser, f"getComputedStyle({PINNED}).display") == "none"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_figure_with_room_needs_no_second_names(show):
    browser = show(render(), width=1280)
    assert ask(browser, f"{PINNED}.childElementCount") == 0


def test_a_saved_figure_has_room_for_every_strategy(show, tmp_path):
    browser = show(many())
    find(browser, "[data-switch='all']").click()
    picture = download(browser, tmp_path / "saved", "curves-0", "svg").decode()
    assert picture.count("legendtext") == 33
    # Names that do not fit would stand below the end of the legend, where they are cut off.
    legend = picture[picture.index('class="legend"') :]
    end = float(re.search(r'class="bg"[^>]*height="([0-9.]+)"', legend)[1])
    places = re.findall(r'class="traces" transform="translate\(0, ?([0-9.]+)\)', legend)
    assert len(places) == 33
    assert max(map(float, places)) < end


def test_paper_is_light_and_as_wide_as_a_page(show):
    browser = show(render(), scheme="dark")
    plot = "document.getElementById('curves-0')"
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert ask(browser, f"{plot}.layout.width") < 700
    assert ask(browser, f"{plot}.layout.font.color") == "#1b1f24"
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert ask(browser, f"{plot}.layout.font.color") == "#e6e9ee"
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    background = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(background) == "rgb(255, 255, 255)"
    arrow = "return getComputedStyle(document.querySelector('.board thead button'), '::after')"
    assert browser.execute_script(f"{arrow}.content") in ("none", "normal")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_phone_shows_the_figure_and_the_savings_without_scrolling(show):
    browser = show(render(), width=390)
    seen = (
        "[...document.querySelectorAll('.board thead th')]"
        ".filter(e => e.offsetWidth && e.getBoundingClientRect().right <= innerWidth)"
        ".map(e => e.dataset.key ?? 'figure')"
    )
    assert ask(browser, seen) == ["rank", "strategy", "figure", "saving_vs_random"]
    find(browser, ".phone button").click()
    keys = "[...document.querySelectorAll('.board thead th')].filter(e => e.offsetWidth).length"
    assert ask(browser, keys) == 7
    # Names stay while the numbers pass.
    browser.execute_script("document.querySelector('.board').parentElement.scrollLeft = 300")
    left = "document.querySelector('.board tbody th').getBoundingClientRect().left"
    assert ask(browser, left) == pytest.approx(12, abs=1)


def test_a_name_opens_what_is_known_of_a_strategy(show):
    entrants = (Entrant("random", "random", (), "version 1"),)
    browser = show(render(asked=replace(ASKED, entrants=entrants)))
    name = browser.find_elements(By.CSS_SELECTOR, ".baseline button.name")[0]
    name.send_keys(Keys.ENTER)
    card = find(browser, "[popover]:popover-open")
    assert card.find_element(By.TAG_NAME, "h2").text == "random"
    assert "Family" in card.text
    name.send_keys(Keys.ESCAPE)
    assert not browser.find_elements(By.CSS_SELECTOR, "[popover]:popover-open")


def test_the_first_click_on_a_heading_puts_the_best_first(show):
    browser = show(render())
    # The baseline stands before a strategy with too few seeds for a verdict.
    mine, baseline = "mine[k=3]", "random"
    for key, order in (("saving_vs_random", (mine, baseline)), ("verdict", (baseline, mine))):
        selector = f".board thead [data-key='{key}'] button"
        for first in order:
            find(browser, selector).click()
            assert named(browser)[0] == first


def test_the_command_is_copied_and_the_keyboard_can_skip_to_the_board(show):
    browser = show(render())
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    focused = "document.activeElement"
    assert ask(browser, f"{focused}.textContent") == "Skip to the leaderboard"
    assert ask(browser, f"{focused}.getBoundingClientRect().left") >= 0
    button = find(browser, "#command + .buttons button")
    button.click()
    wait(browser, "document.querySelector('#command + .buttons button').textContent === 'Copied'")
    assert ask(browser, "getSelection().toString()") == "falbench compare"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing(show, width, scheme):
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    later = replace(ASKED, target=0.55)
    page = render_page(comparison(ROWS, ASKED, later, charges=CHARGES))
    browser = show(page, width, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.execute_script((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script(
        "axe.run(document, {}).then(r => arguments[arguments.length - 1](r))"
    )
    assert [
        (violation["id"], [node["target"] for node in violation["nodes"]][:5])
        for violation in found["violations"]
    ] == []
    assert len(found["passes"]) > 20
    browser.execute_script("document.querySelector('[popover]').showPopover()")
    card = "axe.run('[popover]:popover-open').then(r => arguments[arguments.length - 1](r))"
    assert browser.execute_async_script(card)["violations"] == []


def test_names_stay_text_in_figures(show):
    rows = runs(EVIL, 15) + runs("random", 25)
    asked = context(EVIL, "random", missing=[MissingRun("a", EVIL, 9, EVIL)])
    curves = pd.DataFrame(rows)
    browser = show(render_page(comparison(curves, asked)))
    browser.execute_script("Plotly.relayout('curves-0', {showlegend: true})")
    wait(browser, "document.querySelectorAll('#curves-0 .legendtext').length === 2")
    names = browser.execute_script(
        "return [...document.querySelectorAll('#curves-0 .legendtext')].map(e => e.textContent)"
    )
    assert names == [EVIL, "random"]
    # The nearest line alone says what it is.
    browser.execute_script("Plotly.Fx.hover('curves-0', [{curveNumber: 0, pointNumber: 1}])")
    wait(browser, "document.querySelector('.plot .hoverlayer')?.textContent.includes('labels')")
    hover = ask(browser, "document.querySelector('.plot .hoverlayer').textContent")
    assert EVIL in hover
    assert "random" not in hover
    assert browser.get_log("browser") == []


def test_it_opens_with_every_state_of_a_board(show):
    missing = tuple(MissingRun("a", name, 0, "not run yet") for name in ASKED.strategies)
    empty = pd.DataFrame(ROWS).iloc[:0]
    asked = context(*ASKED.strategies, missing=missing)
    browser = show(render_page(comparison(empty, asked)))
    assert browser.get_log("browser") == []
