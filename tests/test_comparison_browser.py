"""The page of a comparison in a real browser: sorting, opening, zooming together, narrow, dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from eval.report.comparison import Comparison, compare_methods
from eval.report.comparison_page import write_comparison
from eval.report.page import VideoContents
from tests.browser import TIMEOUT, open_browser
from tests.test_report_browser import CLASSES, HOSTILE, random_tables

if TYPE_CHECKING:
    from playwright.sync_api import Page

VIDEOS = (*HOSTILE, *(f"video {i:03}" for i in range(4, 240)))
METHODS = ("<script>alert(1)</script>", "FTCL-Net 🧀")


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    truth, first = random_tables(VIDEOS, 0)
    _, second = random_tables(VIDEOS, 1)
    methods = dict(zip(METHODS, (first, second), strict=True))
    return compare_methods(methods, truth, (0.3, 0.5, 0.7), (0.3, 0.7))


@pytest.fixture(scope="module")
def page(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Page"]:
    """The page; at the end, nothing may have been reported, asked for or requested."""
    folder = tmp_path_factory.mktemp("comparison")
    file = write_comparison(folder, comparison, VideoContents(), title="A & B", settings={"x": 1})
    problems: list[str] = []
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(TIMEOUT)
        page.on("pageerror", lambda error: problems.append(f"error {error}"))
        page.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
        page.on("console", lambda m: problems.append(m.text) if m.type != "log" else None)
        page.on("request", lambda r: problems.append(r.url) if r.url != file.as_uri() else None)
        page.goto(file.as_uri())
        yield page
        assert problems == []


@pytest.fixture(autouse=True)
def fresh(page: "Page") -> None:
    """Every test starts with the page as it was."""
    page.set_viewport_size({"width": 1300, "height": 900})
    page.emulate_media(color_scheme="light")
    page.reload()
    page.wait_for_selector("#video-table tbody tr")


def names(page: "Page") -> list[str]:
    """The rows of the table of videos that are there."""
    found: list[str] = page.locator("#video-table tbody th button").all_text_contents()
    return found


def differences(comparison: Comparison) -> dict[str, float]:
    """Main average of the second method minus that of the first, of each video."""
    first, second = comparison.video_averages().values()
    return {name: second[name] - first[name] for name in first}


def test_videos_are_sorted_by_their_difference(page: "Page", comparison: Comparison) -> None:
    expected = differences(comparison)
    best = max(expected.values())
    assert expected[names(page)[0]] == pytest.approx(best, abs=1e-4)
    cell = page.locator("#video-table tbody td.difference span").first
    assert cell.text_content() == f"+{best:.1f}"
    heading = page.locator("#video-table thead button")
    heading.last.click()
    assert expected[names(page)[0]] == pytest.approx(min(expected.values()), abs=1e-4)
    assert page.locator("#video-table thead th").last.get_attribute("aria-sort") == "ascending"
    heading.first.click()
    assert names(page)[-1] != VIDEOS[-1]  # the others are added while one scrolls
    better = sum(value > 0.005 for value in expected.values())
    worse = sum(value < -0.005 for value in expected.values())
    assert page.locator("#count").text_content() == (
        f"239 videos with instances: {METHODS[1]} is better in {better}, worse in {worse}"
    )


def test_all_videos_are_there_and_no_name_is_markup(page: "Page") -> None:
    while len(names(page)) < 239:
        page.locator("#more").scroll_into_view_if_needed()
        page.wait_for_timeout(20)
    assert set(names(page)) == set(VIDEOS[:-1])  # the last one has no instance
    assert page.locator("main script, main img, main b[onclick]").count() == 0
    assert METHODS[0] in page.locator("#video-table thead").inner_text()
    assert METHODS[0] in page.locator("#class-table thead").inner_text()
    page.fill("#search", HOSTILE[0].upper())
    assert names(page) == [HOSTILE[0]]


def test_a_row_opens_the_timelines_which_zoom_together(page: "Page") -> None:
    page.fill("#search", "video 010")
    button = page.locator("#video-table tbody th button")
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    cards = page.locator(".group .video")
    assert cards.locator("h3").all_text_contents() == list(METHODS)
    assert cards.nth(0).locator("rect.truth").count() == cards.nth(1).locator("rect.truth").count()
    assert cards.nth(0).locator("rect.truth").count() > 0
    zoom = page.locator(".zoom span")
    before = zoom.all_text_contents()
    assert before[0] == before[1]
    cards.nth(1).locator(".timeline").focus()
    page.keyboard.press("+")
    after = zoom.all_text_contents()
    assert after[0] == after[1] != before[0]
    page.keyboard.press("ArrowRight")
    assert "Instance: " in cards.nth(1).locator(".detail").inner_text()
    page.select_option("#tiou", "2")  # stays open, matched at the other tIoU
    assert "at tIoU 0.7" in cards.first.locator(".counts").inner_text()
    button.click()
    assert cards.count() == 0


def test_a_kind_is_hidden_in_all_timelines(page: "Page") -> None:
    page.locator("#video-table tbody th button").first.click()
    kinds = page.locator(".group rect.d2")
    assert kinds.count() > 0
    page.get_by_role("button", name="localization").click()
    assert kinds.count() == 0


def test_a_class_chooses_its_videos(page: "Page", comparison: Comparison) -> None:
    table = page.locator("#class-table")
    first, second = comparison.class_averages()
    change = dict(zip(CLASSES, second - first, strict=True))
    order = table.locator("tbody th").all_text_contents()
    assert order == sorted(CLASSES, key=lambda name: -change[name])
    table.locator("thead button").last.click()
    assert table.locator("tbody th").all_text_contents() == order[::-1]
    table.get_by_role("button", name=order[0], exact=True).click()
    truth = comparison.truth
    videos = {truth.videos[v] for v in truth.video[truth.label == CLASSES.index(order[0])]}
    count = page.locator("#count").text_content() or ""
    assert count.startswith(f"{len(videos)} of 239 videos")
    assert set(names(page)) <= videos


def test_narrow_and_dark(page: "Page") -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")
    page.locator("#video-table tbody th button").first.click()
    page.wait_for_timeout(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator(".group .plot").first.bounding_box()
    assert box is not None
    assert 200 < box["width"] < 390
    colour = page.locator(".up, .down").first.evaluate("e => getComputedStyle(e).color")
    assert max(int(part) for part in colour[4:-1].split(",")) > 180


def test_printed(page: "Page", tmp_path: Path) -> None:
    page.evaluate(
        "window.onbeforeprint = () => { window.rows = document.querySelectorAll('.heat').length }"
    )
    page.pdf(path=tmp_path / "a.pdf", format="A4")
    assert page.evaluate("window.rows") >= 2 * 239
