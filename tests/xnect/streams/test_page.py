"""The web page in a real browser without a screen."""

import io
import os
import shutil
import tempfile
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from xnect.streams import open_streams

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
DRIVER = shutil.which("chromedriver") or ""


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (CHROMIUM and DRIVER):
        pytest.skip("no chromium with chromedriver here")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    with tempfile.TemporaryDirectory() as profile:
        words = [
            "--headless=new",
            "--disable-gpu",
            "--no-first-run",
            "--window-size=960,640",
            f"--user-data-dir={profile}",
        ]
        for word in [*words, *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]:
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        yield driver
        driver.quit()


def picture(browser, name=""):
    png = browser.get_screenshot_as_png()
    if folder := os.environ.get("XNECT_KEEP_PICTURES"):
        Path(folder, f"{name}.png").write_bytes(png)
    return cv2.imdecode(np.frombuffer(io.BytesIO(png).getbuffer(), np.uint8), cv2.IMREAD_COLOR).astype(int)


def near(image, colour, off=30):
    """Pixels of about a colour (RGB)."""
    return (np.abs(image - np.array(colour[::-1])).max(-1) < off).sum()


def test_the_page_shows_everyone_moving(browser, results, wait):
    with open_streams(websocket="127.0.0.1:0") as streams:
        outlet, end = streams.outlets[0], threading.Event()

        def feed():
            index = 0
            while not end.wait(0.03):
                streams.send(results(index))
                index += 1

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            browser.get(outlet.url)
            wait(lambda: browser.execute_script("return window.xnect ? window.xnect.frames : 0") >= 5, 30)
            wait(lambda: browser.execute_script("return window.xnect.people.length") == 2, 10)
            first = picture(browser, "first")
            count = browser.execute_script("return window.xnect.frames")
            wait(lambda: browser.execute_script("return window.xnect.frames") >= count + 10, 20)
            second = picture(browser, "second")
        finally:
            end.set()
            feeder.join()
        assert "2 people" in browser.find_element("id", "status").text
        for image in (first, second):
            assert near(image, (230, 159, 0)) > 200  # right limbs
            assert near(image, (86, 180, 233)) > 200  # left limbs
            assert near(image, (204, 121, 167)) > 20  # the 1 above a head
            assert near(image, (43, 47, 56), 4) > 500  # the floor
        assert (np.abs(first - second).max(-1) > 60).sum() > 500  # they moved
        before = browser.execute_script("return [window.xnect.frames, document.getElementById('view').width]")
        browser.find_element("css selector", "body").send_keys("3")
        third = picture(browser, "third")
        assert (np.abs(second - third).max(-1) > 60).sum() > 500  # from above
        assert before[1] == 960
    wait(lambda: "no connection" in browser.find_element("id", "status").text, 10)
    complaints = [entry["message"] for entry in browser.get_log("browser")]
    assert not [text for text in complaints if "WebSocket connection" not in text]  # the server has gone, no more
