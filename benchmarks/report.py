"""Size of a report, and how quickly it opens and reacts, measured in Chromium.

    python benchmarks/report.py                           # as many videos as THUMOS14 has
    python benchmarks/report.py --videos 5000
    python benchmarks/report.py --page run/THUMOS_best_report/report.html   # or a comparison

Checks first that the page matches detections and instances as the evaluation does, at every tIoU.
Then opens the page several times for the first paint, and uses each control several times: from
the input to the end of the frame that shows its effect. Prints the medians.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.random_scores import (
    CLASSES,
    INSTANCES,
    VIDEOS,
    annotate,
    random_scores,
    thumos14_evaluator,
)
from eval.detection.matching import match_ranked, ranked
from eval.evaluator import Evaluation
from eval.report.page import VideoContents, write_report
from eval.scores import VideoScores
from eval.segments import Segments
from tests.browser import ARGUMENTS, NAMES, find_browser
from utils.errors import UserError, command

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SNIPPET_SECONDS = 0.64
USE = """async ([id, event, values]) => {
  const target = document.getElementById(id), times = [];
  for (const value of values) {
    const before = performance.now();
    target.value = value;
    target.dispatchEvent(new Event(event, { bubbles: true }));
    // The first frame shows the list; timelines are drawn once it is known that they are near.
    for (let frame = 0; frame < 2; frame++) {
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    }
    times.push(performance.now() - before);
  }
  return times;
}"""
PAINT = """() => performance.getEntriesByType("paint")
  .find((entry) => entry.name === "first-contentful-paint")?.startTime ?? 0"""


def three_attentions(video: VideoScores, name: str) -> VideoScores:
    """The video under another name, with the attention of context and background too."""
    rest = 1 - video.attention
    branches = np.stack([video.attention, 0.7 * rest, 0.3 * rest], axis=1)
    return video._replace(name=name, branch_attention=branches)


def write_page(folder: Path, number: int) -> tuple[Path, list[int]]:
    """Writes the report of random scores.

    Returns:
        Path of the page, and the number of found instances at each tIoU.
    """
    base = random_scores()
    videos = [three_attentions(base[i % len(base)], f"video_test_{i:07}") for i in range(number)]
    instances = round(INSTANCES * number / VIDEOS)
    evaluator = thumos14_evaluator(annotate(videos, instances=instances))
    evaluation = evaluator(videos)
    began = time.perf_counter()
    page = write_report(
        folder,
        evaluation,
        evaluator.truth,
        VideoContents(videos, CLASSES, SNIPPET_SECONDS),
        title="random scores",
        settings={},
    )
    seconds = time.perf_counter() - began
    found = evaluation.detection
    print(
        f"{found.videos} videos, {found.instances.sum()} instances, {found.detections.sum()} "
        f"detections\nwritten in {seconds:.1f} s, {page.stat().st_size / 1e6:.2f} MB"
    )
    return page, found_instances(evaluation, evaluator.truth)


def found_instances(evaluation: Evaluation, truth: Segments) -> list[int]:
    """Number of instances that a detection takes at each tIoU, from the evaluation itself."""
    best_first = ranked(evaluation.detections, truth)
    holder = match_ranked(best_first, truth, evaluation.detection.tiou)
    return [int(row) for row in (holder < len(best_first)).sum(axis=1)]


def check(page: "Page", expected: list[int]) -> None:
    """Stops if the page counts another number of found instances at any tIoU."""
    for k, number in enumerate(expected):
        page.select_option("#tiou", index=k)
        text = page.locator("#count").text_content() or ""
        if f", {number:,} of " not in text:
            raise UserError(f"the page says {text!r}, the evaluation finds {number} instances")
    if expected:
        print(f"found instances equal those of the evaluation at {len(expected)} tIoU")


def measure(browser: "Browser", page_file: Path, expected: list[int], rounds: int) -> None:
    """Opens the page and uses its controls; prints the medians."""
    paints, drawn = [], []
    for number in range(rounds):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.goto(page_file.resolve().as_uri())
        page.wait_for_selector("article.video, #video-table tbody tr")
        paints.append(page.evaluate(PAINT))
        drawn.append(page.evaluate("performance.now()"))
        if number < rounds - 1:
            context.close()
    print(f"first paint {statistics.median(paints):.0f} ms, the list is there after ", end="")
    print(f"{statistics.median(drawn):.0f} ms (medians of {rounds})")
    check(page, expected)
    page.locator("#count").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    classes = page.locator("#class option").count()
    sorts = page.locator("#sort option").evaluate_all("all => all.map(e => e.value)")
    controls = {
        "search": ("search", "input", ["1", "12", "", "2", "23", "", "0", "04", ""]),
        "class": ("class", "change", [*range(min(classes - 1, 20)), -1]),
        "score slider": ("score", "input", [*range(0, 200, 8), 0]),
        "tIoU": ("tiou", "change", [0, 1, 2, 1, 0] * 3),
        "sort": ("sort", "change", sorts * 2),
    }
    for name, (target, event, values) in controls.items():
        if not page.locator(f"#{target}").count():  # a comparison has fewer
            continue
        times = page.evaluate(USE, [target, event, [str(value) for value in values]])
        print(
            f"{name:13}{statistics.median(times):6.1f} ms, slowest {max(times):6.1f} ms "
            f"({len(times)} inputs)"
        )


@command("benchmarks/report.py")
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=212, help="number of random videos")
    parser.add_argument("--page", type=Path, help="measure this report instead")
    parser.add_argument("--rounds", type=int, default=5, help="how often the page is opened")
    options = parser.parse_args()
    path = find_browser()
    if path is None:
        raise UserError(f"no browser; install one of {', '.join(NAMES)}")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UserError(
            "playwright is missing; python -m pip install -r tests/requirements.txt"
        ) from None
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file, expected = options.page, list[int]()
        if file is None:
            file, expected = write_page(Path(folder), options.videos)
        else:
            print(f"{file}: {file.stat().st_size / 1e6:.2f} MB")
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        print(f"Chromium {browser.version}")
        measure(browser, file, expected, options.rounds)
        browser.close()


if __name__ == "__main__":
    main()
