"""The report in a real browser: clicking, typing, keyboard, narrow, dark, printed, playing."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from config.datasets import THUMOS14
from eval.detection.average_precision import detection_map
from eval.evaluator import Evaluation
from eval.report.page import VideoContents, write_report
from eval.report.video_results import VideoResults, video_results
from eval.scores import VideoScores
from eval.segments import Segments, segments_from_rows
from tests.browser import TIMEOUT, open_browser
from tests.report_case import make_scores
from tests.test_report_parts import kinds_at

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

Open = Callable[..., "Page"]
HOSTILE = (
    "<script>document.title='taken'</script>",
    "\"quotes' & <b onclick=alert(1)>",
    "Käse 🧀 跳水",
    "</script><img src=x onerror=alert(1)>",
)
CLASSES = ("Diving", "Sprung 🤸", "<i>Shotput</i>", 'O\'Neill "jump"')
PLAYED, BROKEN = "video 05", "video 06"
VIDEOS = (*HOSTILE, *(f"video {i:02}" for i in range(4, 40)))
HALF = 4  # index of tIoU 0.5


@dataclass
class Report:
    """A report on the disk and what it must show."""

    page: Path
    results: VideoResults
    truth: Segments
    found: Segments


def random_tables(videos: tuple[str, ...], seed: int) -> tuple[Segments, Segments]:
    """Instances of one or two classes per video, and detections near and far from them."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for v in range(len(videos)):
        if v == len(videos) - 1:
            continue  # the last one has neither
        for start in np.arange(2, 60, 15) + rng.random(4) * 5:
            label = (v + int(rng.random() < 0.3)) % len(CLASSES)
            truth.append((v, label, start, start + 6, 1.0))
            for shift in rng.normal(0, 2, 3):
                score = float(np.exp(-abs(shift)) * rng.uniform(0.6, 1))
                found.append((v, label, start + shift, start + shift + 6, score))
            found.append((v, (label + 1) % len(CLASSES), start, start + 5, rng.random() / 3))
        found.append((v, v % len(CLASSES), 66.0, 69.0, rng.random() / 4))
    return segments_from_rows(videos, CLASSES, truth), segments_from_rows(videos, CLASSES, found)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("report")
    truth, found = random_tables(VIDEOS, 0)
    evaluation = Evaluation(found, detection_map(truth, found), 0.9, THUMOS14.main_average)
    scores = [make_scores(name, 100 + i, 100, len(CLASSES)) for i, name in enumerate(VIDEOS)]
    write_video(folder / "clips" / f"{PLAYED}.webm")
    (folder / "clips" / f"{BROKEN}.mp4").write_bytes(b"no video")
    media = {PLAYED: "clips/video%2005.webm", BROKEN: "clips/video%2006.mp4"}
    page = write_report(
        folder,
        evaluation,
        truth,
        VideoContents(scores, CLASSES, 0.7, media=media),
        title="A <b>title</b>",
        settings={"lr": 0.1},
    )
    average, _ = evaluation.main_metric()
    return Report(page, video_results(truth, found, evaluation.detection, average), truth, found)


def write_video(path: Path, seconds: int = 70) -> None:
    """Writes a tiny VP8 video, which every Chromium plays."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libvpx", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size = 5
        for i in range(5 * seconds):
            picture = np.full((48, 64, 3), i * 255 // (5 * seconds), np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def opened(browser: "Browser", report: Report) -> Iterator[Open]:
    """Opens the report; at the end, nothing may have been reported, asked for or requested."""
    contexts, problems, allowed = [], [], set()

    def open_page(
        path: Path = report.page,
        width: int = 1200,
        height: int = 1000,
        failing: str = "",
        **more: Any,
    ) -> "Page":
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        page.on("pageerror", lambda error: problems.append(f"error {error}"))
        page.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
        page.on("console", lambda m: problems.append(m.text) if m.type != "log" else None)
        page.on("request", lambda r: problems.append(r.url) if r.url not in allowed else None)
        allowed.add(path.as_uri())
        allowed.update(
            f"{path.parent.as_uri()}/clips/video%200{end}" for end in ("5.webm", "6.mp4")
        )
        page.goto(path.as_uri())
        page.wait_for_selector(".video")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def shown(page: "Page") -> list[str]:
    """Names of the cards in the list."""
    names: list[str] = page.locator(".video h3").all_text_contents()
    return names


def card(page: "Page", name: str) -> "Locator":
    """The only card of a page that was searched for this name, with its timeline drawn."""
    page.fill("#search", name)
    found = page.locator(".video")
    assert found.count() == 1
    found.locator(".axis").wait_for(state="attached")
    return found


def test_every_video_is_there_and_no_name_is_markup(opened: Open, report: Report) -> None:
    page = opened()
    assert page.title() == "A <b>title</b>"
    assert page.locator("#count").text_content() == (
        f"40 videos: at tIoU 0.5, {found_at(report, HALF)} of 156 instances found, 663 detections"
    )
    while len(shown(page)) < 40:
        page.locator(".video").last.scroll_into_view_if_needed()
        page.wait_for_timeout(20)
    assert sorted(shown(page)) == sorted(VIDEOS)
    assert (
        page.locator("#list img, #list script, #list b[onclick], #list i:not([class])").count() == 0
    )
    for name in HOSTILE:
        page.fill("#search", name.upper())
        assert shown(page) == [name]
    labels = card(page, HOSTILE[2]).locator(".label.strong").all_text_contents()
    assert set(labels) <= set(CLASSES)
    assert {"<i>Shotput</i>", CLASSES[3]} <= set(page.locator("#class option").all_text_contents())


def to_videos(page: "Page") -> None:
    """Scrolls to the list, where timelines are drawn as they come near."""
    page.locator("#count").scroll_into_view_if_needed()
    page.locator(".axis").first.wait_for(state="attached")


def until(page: "Page", condition: str) -> None:
    """Waits for a condition; `wait_for_function` is refused by the policy of the page."""
    end = time.monotonic() + TIMEOUT / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def found_at(report: Report, k: int) -> int:
    """Number of instances that a detection takes at threshold k."""
    return int((report.results.holder[k] >= 0).sum())


def test_search_and_nothing_found(opened: Open) -> None:
    page = opened()
    page.fill("#search", "  VIDEO 1")
    assert sorted(shown(page)) == [f"video {i}" for i in range(10, 20)]
    assert "10 of 40 videos" in (page.locator("#count").text_content() or "")
    page.fill("#search", "nothing like it")
    assert shown(page) == []
    assert page.locator(".empty").text_content() == "No video fits. Change the search or the class."
    page.fill("#search", "")
    assert len(shown(page)) >= 20


def test_order(opened: Open, report: Report) -> None:
    page = opened()
    rated = report.results.average_by_video()
    best = sorted(rated.values(), reverse=True)
    first = [rated[name] for name in shown(page)[:20]]
    assert first == pytest.approx(best[:20], abs=1e-4)
    page.click("#direction")
    first = [rated[name] for name in shown(page)[:20]]
    assert first == pytest.approx(best[::-1][:20], abs=1e-4)
    page.select_option("#sort", label="name")
    assert [name for name in shown(page) if name.startswith("video")][:3] == [
        *("video 04", "video 05", "video 06")
    ]
    kinds, video = kinds_at(report.results, HALF), report.results.detections.video
    for kind, label in ((2, "errors: localization"), (4, "errors: background")):
        page.select_option("#sort", label=label)
        number = np.bincount(video[np.array(kinds) == kind], minlength=len(VIDEOS))
        order = [number[VIDEOS.index(name)] for name in shown(page)[:20]]
        assert order == sorted(number, reverse=True)[:20]
    page.select_option("#sort", "average")
    page.fill("#search", VIDEOS[-1])  # not rated: last in both directions
    assert "no instance annotated" in page.locator(".video").inner_text()


def test_filter_by_class_also_from_the_table(opened: Open, report: Report) -> None:
    page = opened()
    has: dict[str, set[str]] = {label: set() for label in CLASSES}
    for table in (report.truth, report.found):
        for video, label in zip(table.video, table.label, strict=True):
            has[CLASSES[label]].add(VIDEOS[video])
    page.select_option("#class", label="Diving")
    assert f"{len(has['Diving'])} of 40 videos" in (page.locator("#count").text_content() or "")
    to_videos(page)
    assert set(page.locator(".label.strong").all_text_contents()) == {"Diving"}
    page.locator("#class-table tbody button", has_text="Sprung").click()
    assert page.locator("#class").evaluate("e => e.selectedOptions[0].text") == "Sprung 🤸"
    assert f"{len(has[CLASSES[1]])} of 40 videos" in (page.locator("#count").text_content() or "")


def test_score_threshold_with_the_keyboard(opened: Open, report: Report) -> None:
    page = opened()
    page.focus("#score")
    assert page.locator("#score-text").text_content() == "any"
    scores = np.sort(report.found.score.astype(np.float32))
    for key, position in (("ArrowRight", 1), ("End", 200), ("ArrowLeft", 199), ("PageDown", 179)):
        page.keyboard.press(key)
        position = int(page.locator("#score").input_value())
        least = scores[min(len(scores) - 1, int(position / 200 * len(scores)))]
        kept = int((report.found.score.astype(np.float32) >= least).sum())
        assert f"{kept} detection" in (page.locator("#count").text_content() or "")
        assert f"{least:.3f}" in (page.locator("#score-text").text_content() or "")
    page.keyboard.press("Home")
    assert "663 detections" in (page.locator("#count").text_content() or "")


@pytest.mark.parametrize("k", [0, 8])
def test_matching_follows_the_tiou(opened: Open, report: Report, k: int) -> None:
    page = opened()
    page.select_option("#tiou", index=k)
    count = page.locator("#count").text_content() or ""
    assert f"{found_at(report, k)} of 156 instances found" in count
    name = VIDEOS[9]
    facts = card(page, name).locator(".counts").inner_text()
    found = report.results.detections
    own = np.array(kinds_at(report.results, k))[found.video == VIDEOS.index(name)]
    numbers = [str(n) for n in np.bincount(own, minlength=5) if n]
    assert facts.split()[-len(numbers) :] == numbers
    pairs = report.results.pair_video == VIDEOS.index(name)
    precision = report.results.pair_precision[pairs, k].mean()
    assert f"at tIoU {report.results.tiou[k]:g} {precision:.1f} %" in " ".join(facts.split())
    drawn = page.locator(".plot")
    assert drawn.locator(".d0, .d1, .d2, .d3, .d4").count() == len(own)
    for kind in range(5):
        assert drawn.locator(f".d{kind}").count() == (own == kind).sum()


def test_kinds_can_be_hidden(opened: Open) -> None:
    page = opened()
    one = card(page, VIDEOS[9])
    before = one.locator(".d2").count()
    assert before > 0
    chip = page.locator("#legend button", has_text="localization")
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false"
    assert one.locator(".d2").count() == 0
    chip.press("Enter")
    assert one.locator(".d2").count() == before


def test_timeline_by_keyboard(opened: Open) -> None:
    page = opened()
    one = card(page, VIDEOS[9])
    page.focus("#more") if page.locator("#more").is_visible() else page.focus("#help summary")
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className").startswith("timeline"):
            break
    timeline = one.locator(".timeline")
    assert timeline.evaluate("e => e === document.activeElement")
    assert timeline.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    detail = one.locator(".detail")
    page.keyboard.press("ArrowRight")
    assert (detail.text_content() or "").startswith("Instance: ")
    first = detail.text_content()
    page.keyboard.press("ArrowRight")
    assert detail.text_content() != first
    page.keyboard.press("Home")
    assert detail.text_content() == first
    page.keyboard.press("ArrowDown")
    text = detail.text_content() or ""
    assert text.startswith("Detection: ")
    assert " score 0." in text
    assert " tIoU " in text
    assert one.locator(".chosen").count() == 1
    whole = one.locator(".zoom span").text_content()
    page.keyboard.press("+")
    assert "of" in (one.locator(".zoom span").text_content() or "")
    zoomed = one.locator(".zoom span").text_content()
    page.keyboard.press("Shift+ArrowRight")
    assert one.locator(".zoom span").text_content() != zoomed
    page.keyboard.press("0")
    assert one.locator(".zoom span").text_content() == whole
    page.keyboard.press("Escape")
    assert detail.text_content() == ""
    assert one.locator(".chosen").count() == 0


def test_timeline_with_the_mouse(opened: Open) -> None:
    page = opened()
    one = card(page, VIDEOS[9])
    plot = one.locator(".plot")
    plot.scroll_into_view_if_needed()
    bar = one.locator("rect.truth").first.bounding_box()
    assert bar
    page.mouse.move(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)
    tip = page.locator("#tip")
    assert tip.is_visible()
    assert "Instance: " in tip.inner_text()
    assert " s long)" in tip.inner_text()
    page.mouse.down()
    page.mouse.up()
    assert (one.locator(".detail").text_content() or "").startswith("Instance: ")
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] - 40)
    for shown_there in (" s", "instance attention 0.", "context attention 0.", "activation of "):
        assert shown_there in tip.inner_text()
    page.mouse.move(box["x"] + 100, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 45, steps=4)
    assert one.locator(".brush").count() == 1
    page.mouse.up()
    assert one.locator(".brush").count() == 0
    window = (one.locator(".zoom span").text_content() or "").split(" of ")[0].split("\N{EN DASH}")
    end = plot.evaluate("e => e.closest('.video').card.all.disabled ? 0 : 1")
    length = float((one.locator(".zoom span").text_content() or "").split(" of ")[1].split()[0])
    expected = [100 / box["width"] * length, 300 / box["width"] * length]
    assert [float(x) for x in window] == pytest.approx(expected, abs=0.3)
    assert end == 1
    page.mouse.dblclick(box["x"] + 200, box["y"] + box["height"] - 4)
    assert "of" not in (one.locator(".zoom span").text_content() or "")
    one.locator("button[title='Zoom in']").click()
    one.locator("button[title='Later']").click()
    one.locator("button[title='Whole video']").click()
    assert one.locator("button[title='Zoom out']").is_disabled()


def test_tables_and_charts(opened: Open, report: Report) -> None:
    page = opened()
    heading = page.locator("#class-table thead button")
    column = page.locator("#class-table tbody tr td:nth-child(2)")
    heading.nth(1).click()
    values = [float(text) for text in column.all_inner_texts()]
    assert values == sorted(values, reverse=True)
    heading.nth(1).press("Enter")
    assert [float(text) for text in column.all_inner_texts()] == values[::-1]
    assert page.locator("th[aria-sort='ascending']").count() == 1
    heading.nth(0).click()
    names = page.locator("#class-table tbody th").all_inner_texts()
    assert sorted(names) == sorted(CLASSES)
    assert page.locator("#map-chart circle[r='3.5']").count() == len(report.results.tiou)
    page.locator("#map-chart circle[r='12']").nth(4).hover()
    assert "tIoU 0.5" in page.locator("#tip").inner_text()
    page.locator("#error-chart rect[fill='var(--k2)']").last.click()
    assert page.locator("#sort").input_value() == "kind2"


def test_narrow_window(opened: Open) -> None:
    page = opened(width=360, height=740, has_touch=True, is_mobile=True)
    to_videos(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    labels_above = """all => all.every(
        e => Math.abs(e.clientWidth - e.querySelector('.plot').clientWidth) < 2)"""
    narrow = page.locator(".timeline.narrow", has=page.locator(".axis"))
    assert narrow.count() > 0
    assert narrow.evaluate_all(labels_above)
    page.locator("#search").tap()
    page.keyboard.type("video 1")
    assert len(shown(page)) == 10


def test_dark_mode(opened: Open) -> None:
    light, dark = opened(), opened(color_scheme="dark")

    def lightness(page: "Page", selector: str, style: str) -> float:
        value = page.locator(selector).first.evaluate(f"e => getComputedStyle(e)['{style}']")
        return float(np.mean([int(x) for x in value[4:-1].split(",")[:3]]))

    for page, text_is_light in ((light, False), (dark, True)):
        to_videos(page)
        for selector, style in (
            (".video h3", "color"),
            ("rect.truth", "fill"),
            ("#count", "color"),
        ):
            contrast = lightness(page, selector, style) - lightness(
                page, "section#map", "backgroundColor"
            )
            assert (contrast > 0) == text_is_light
            assert abs(contrast) > 120


def test_printed(opened: Open, tmp_path: Path) -> None:
    page = opened()
    page.evaluate(
        "window.onbeforeprint = () => { window.drawn = document.querySelectorAll('.axis').length }"
    )
    path = tmp_path / "report.pdf"
    page.pdf(path=path, format="A4")
    assert path.read_bytes().startswith(b"%PDF")
    assert page.evaluate("window.drawn") == 40  # all videos, not only the visible ones
    page.emulate_media(media="print")
    assert not page.locator("#controls").is_visible()


def test_a_click_plays_the_segment(opened: Open, report: Report) -> None:
    page = opened()
    one = card(page, PLAYED)
    instance = one.locator("rect.truth").first
    start = report.truth.of_video(PLAYED).start.min()
    instance.scroll_into_view_if_needed()
    bar = instance.bounding_box()
    assert bar
    page.mouse.click(bar["x"] + 3, bar["y"] + 4)
    until(page, f"document.querySelector('video')?.currentTime >= {start}")
    video = one.locator("video")
    assert video.evaluate("e => e.currentTime") < start + 5
    assert not video.evaluate("e => e.paused")
    assert "of video 05" in one.locator(".player").inner_text()
    video.evaluate(f"e => {{ e.currentTime = {start + 5.7} }}")  # near the end, which stops it
    until(page, "document.querySelector('video').paused")
    assert video.evaluate("e => e.currentTime") == pytest.approx(start + 6, abs=0.05)
    assert one.locator(".playhead").get_attribute("visibility") == "visible"
    page.keyboard.press("Escape") if one.locator(".timeline").evaluate(
        "e => e === document.activeElement"
    ) else one.locator(".player button").click()
    assert one.locator("video").count() == 0
    assert one.locator(".timeline").evaluate("e => e === document.activeElement")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('video')?.currentTime > 0")


def test_a_video_that_cannot_be_played_says_so(opened: Open) -> None:
    page = opened()
    one = card(page, BROKEN)
    one.locator(".timeline").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    one.locator(".problem").wait_for()
    assert "This browser cannot play video 06.mp4" in one.locator(".problem").inner_text()


@pytest.mark.slow  # 5 to 10 seconds; benchmarks/report.py --videos 5000 measures the same page
def test_five_thousand_videos(opened: Open, tmp_path: Path) -> None:
    videos = tuple(f"v_{i:05}" for i in range(5000))
    truth, found = random_tables(videos, 1)
    evaluation = Evaluation(found, detection_map(truth, found), 0.9, THUMOS14.main_average)
    one = make_scores("x", 200, 200, len(CLASSES))
    scores: list[VideoScores] = [one._replace(name=name) for name in videos]
    contents = VideoContents(scores, CLASSES, 0.9)
    file = write_report(tmp_path, evaluation, truth, contents, title="t", settings={})
    assert file.stat().st_size < 20e6
    page = opened(file)
    page.fill("#search", "4999")
    assert shown(page) == ["v_04999"]
    page.fill("#search", "v_")
    assert "5,000 videos: at tIoU 0.5" in (page.locator("#count").text_content() or "")
    assert len(shown(page)) < 200  # the others are added while one scrolls
    assert "points per video" in page.locator("#video-notes").inner_text()
