"""The HTML report in a real browser: it draws, asks for nothing, and reports no error."""

import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from boards import ASKED, CHARGES, ROWS, comparison, context, render, runs

from fal_bench.reporting.page import render_page
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

    def _show(html, width=1280, scheme="light"):
        path = tmp_path / "report.html"
        path.write_text(html, encoding="utf-8")
        browser.get_log("performance")
        browser.get_log("browser")
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        prefer(browser, scheme)
        browser.get(path.as_uri())
        figures = html.count('class="plot"')
        wait(
            browser, f"document.querySelectorAll('.plot .main-svg .infolayer').length >= {figures}"
        )
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_draws_without_requests_errors_or_page_scroll(show, width, scheme):
    browser = show(render(), width, scheme)
    assert [url for url in requests(browser) if not url.startswith("data:")] == [
        browser.current_url
    ]
    assert browser.get_log("browser") == []
    assert ask(browser, "document.documentElement.scrollWidth") <= width
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('.plot')].map(p => "
        "[p.querySelectorAll('.scatterlayer .js-line').length, p.getBoundingClientRect().right])"
    )
    assert len(drawn) == len(ASKED.tasks) + 3 + 5  # three over all tasks, no ledger, five costs
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


VISIBLE = "[...document.getElementById('{}').data].map(t => t.visible ?? true)"


def test_a_strategy_is_hidden_and_shown_with_the_keyboard(show):
    browser = show(render())
    box = browser.find_elements(By.CSS_SELECTOR, "#switches input")[1]
    box.send_keys(Keys.SPACE)
    for plot in ("curves-0", "curves-1"):
        hidden = "[true,true,true,false,false,false,true,true,true]"
        wait(browser, f"JSON.stringify({VISIBLE.format(plot)}) === '{hidden}'")
    # The incomplete strategy is not in the figures over all tasks.
    for plot in ("ecdf-plot", "ranks-plot"):
        wait(browser, f"JSON.stringify({VISIBLE.format(plot)}) === '[false,true]'")
    assert ask(browser, f"{VISIBLE.format('costs-0')}") == [True]
    box.send_keys(Keys.SPACE)
    wait(browser, f"{VISIBLE.format('curves-0')}.every(Boolean)")
    none, everyone = (find(browser, f"[data-switch='{name}']") for name in ("none", "all"))
    none.send_keys(Keys.ENTER)
    wait(browser, f"!{VISIBLE.format('curves-0')}.some(Boolean)")
    everyone.send_keys(Keys.ENTER)
    wait(browser, f"{VISIBLE.format('curves-0')}.every(Boolean)")


def column(browser, table, key):
    """The texts of a column, from top to bottom."""
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())",
        f"#{table} tbody [data-key='{key}']",
    )


def test_the_board_sorts_by_mouse_and_keyboard(show):
    browser = show(render())
    assert column(browser, "board", "strategy") == ["mine[k=3]", "random", "half"]

    def heading(key):
        return find(browser, f"#board thead [data-key='{key}']")

    heading("labels").find_element(By.TAG_NAME, "button").click()
    assert heading("labels").get_attribute("aria-sort") == "ascending"
    assert column(browser, "board", "strategy") == ["mine[k=3]", "random", "half"]
    heading("labels").find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert heading("labels").get_attribute("aria-sort") == "descending"
    # Incomplete strategies stay below, whatever the order.
    assert column(browser, "board", "strategy") == ["random", "mine[k=3]", "half"]
    heading("strategy").find_element(By.TAG_NAME, "button").click()
    assert heading("labels").get_attribute("aria-sort") is None
    assert column(browser, "board", "strategy") == ["mine[k=3]", "random", "half"]
    assert browser.get_log("browser") == []


def test_numbers_sort_as_numbers_and_gaps_come_last(show):
    rows = [row for name, n in (("a", 15), ("b", 25)) for row in runs(name, n)]
    rows += runs("c", 15, extra=90)  # 105 strict labels; as text that were less than 15
    missing = [MissingRun("a", "absent", 0, "")]
    asked = context("a", "b", "c", "absent", missing=missing, accounting="strict")
    browser = show(render_page(comparison(rows, asked)))
    names = (
        "return [...document.querySelectorAll('.results tbody th')].map(e => e.textContent.trim())"
    )
    button = "document.querySelectorAll('.results thead button')[2]"
    browser.execute_script(f"{button}.click()")
    assert browser.execute_script(names) == ["a", "b", "c", "absent"]
    browser.execute_script(f"{button}.click()")
    assert browser.execute_script(names) == ["c", "b", "a", "absent"]


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
    content = download(browser, tmp_path / form, "ecdf-plot", form)
    if form == "png":
        assert content.startswith(b"\x89PNG")
    else:
        # It has a title, and a legend of its own, which the page has outside of the figure.
        assert b"mine[k=3]" in content
        assert b"Share of runs" in content
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


def test_many_strategies_are_shown_few_at_a_time_and_the_axis_follows(show):
    browser = show(many())
    axis = "document.getElementById('{}').layout.xaxis.type"
    bands = (
        "document.getElementById('curves-0').data"
        ".filter(t => t.visible && t.meta?.part === 'band').length"
    )
    lines = "document.getElementById('curves-0').data.filter(t => t.visible && t.name).length"
    legend = "document.querySelectorAll('section .legend li:not([hidden])').length"
    assert ask(browser, f"[{lines}, {bands}, {legend}]") == [6, 6, 12]
    for key in ("curves-0", "ecdf-plot"):
        assert ask(browser, f"{axis.format(key)}") == "linear"
    find(browser, "[data-switch='all']").click()
    wait(browser, f"{lines} === 33 && {bands} === 6 && {legend} === 66")
    for key in ("curves-0", "ecdf-plot"):
        wait(browser, f"{axis.format(key)} === 'log'")
    find(browser, "[data-switch='first']").click()
    wait(browser, f"{lines} === 6 && {axis.format('curves-0')} === 'linear'")
    assert browser.get_log("browser") == []


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
    arrow = "return getComputedStyle(document.querySelector('#board thead button'), '::after')"
    assert browser.execute_script(f"{arrow}.content") in ("none", "normal")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_phone_shows_rank_strategy_labels_and_verdict_without_scrolling(show):
    browser = show(render(), width=390)
    seen = (
        "[...document.querySelectorAll('#board thead th')]"
        ".filter(e => e.offsetWidth && e.getBoundingClientRect().right <= innerWidth)"
        ".map(e => e.dataset.key)"
    )
    assert ask(browser, seen) == ["rank", "strategy", "labels", "verdict"]
    find(browser, ".phone button").click()
    keys = "[...document.querySelectorAll('#board thead th')].filter(e => e.offsetWidth).length"
    assert ask(browser, keys) == 9
    # Names stay while the numbers pass.
    browser.execute_script("document.querySelector('#board').parentElement.scrollLeft = 300")
    left = "document.querySelector('#board tbody th').getBoundingClientRect().left"
    assert ask(browser, left) == pytest.approx(16, abs=1)


def test_the_first_click_on_a_heading_puts_the_best_first(show):
    browser = show(render())
    # The baseline stands before a strategy with too few seeds for a verdict.
    mine, baseline = "mine[k=3]", "random"
    for key, order in (("saving_vs_random", (mine, baseline)), ("verdict", (baseline, mine))):
        selector = f"#board thead [data-key='{key}'] button"
        for first in order:
            find(browser, selector).click()
            assert column(browser, "board", "strategy")[0] == first


def test_the_command_is_copied_and_the_keyboard_can_skip_to_the_board(show):
    browser = show(render())
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    focused = "document.activeElement"
    assert ask(browser, f"{focused}.textContent") == "Skip to the leaderboard"
    assert ask(browser, f"{focused}.getBoundingClientRect().left") >= 0
    button = find(browser, "#command + .downloads button")
    button.click()
    wait(browser, "document.querySelector('#command + .downloads button').textContent === 'Copied'")
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
