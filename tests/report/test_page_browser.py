"""The HTML report in a real browser: it draws, asks for nothing, and reports no error."""

import json
import shutil

import pandas as pd
import pytest
from test_leaderboard import context, runs
from test_page import ASKED, ROWS, comparison, render

from fal_bench.report.context import MissingCell
from fal_bench.report.page import render_page

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
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "window-size=1280,900",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = selenium.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(CHROMEDRIVER))
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
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda b: b.execute_script(f"return {condition}"))


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
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('.plot')].map(p => "
        "[p.querySelectorAll('.scatterlayer .js-line').length, p.getBoundingClientRect().right])"
    )
    assert len(drawn) == len(ASKED.tasks)
    assert all(lines >= 3 and right <= width for lines, right in drawn)


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
    wait(browser, f"{colour} === 'rgb(27, 31, 36)'")
    prefer(browser, "dark")
    wait(browser, f"{colour} === 'rgb(230, 233, 238)'")


def test_a_strategy_is_hidden_and_shown_with_the_keyboard(show):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser = show(render())
    before = "[...document.getElementById('plot-0').data].map(t => t.visible ?? true)"
    box = browser.find_elements(By.CSS_SELECTOR, "input[data-plot='plot-0']")[1]
    box.send_keys(Keys.SPACE)
    wait(browser, f"JSON.stringify({before}) === '[true,true,false,false,true,true]'")
    assert (
        browser.execute_script("return document.getElementById('plot-1').data[2].visible") is None
    )
    box.send_keys(Keys.SPACE)
    wait(browser, f"{before}.every(Boolean)")


def test_names_stay_text_in_figures(show):
    rows = runs(EVIL, 15) + runs("random", 25)
    asked = context(EVIL, "random", missing=[MissingCell("a", EVIL, 9, EVIL)])
    curves = pd.DataFrame(rows)
    browser = show(render_page(comparison(curves, asked)))
    browser.execute_script("Plotly.relayout('plot-0', {showlegend: true})")
    wait(browser, "document.querySelectorAll('.plot .legendtext').length === 2")
    names = browser.execute_script(
        "return [...document.querySelectorAll('.plot .legendtext')].map(e => e.textContent)"
    )
    assert names == [EVIL, "random"]
    browser.execute_script("Plotly.Fx.hover('plot-0', {xval: 20}, 'xy')")
    wait(browser, "document.querySelector('.plot .hoverlayer')?.textContent.includes('random')")
    hover = browser.execute_script("return document.querySelector('.plot .hoverlayer').textContent")
    assert EVIL in hover
    assert browser.get_log("browser") == []


def test_it_opens_with_every_state_of_a_board(show):
    missing = tuple(MissingCell("a", name, 0, "not run yet") for name in ASKED.strategies)
    empty = pd.DataFrame(ROWS).iloc[:0]
    asked = context(*ASKED.strategies, missing=missing)
    browser = show(render_page(comparison(empty, asked)))
    assert browser.get_log("browser") == []
