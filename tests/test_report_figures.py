"""The figures of timelines: what is drawn, in any script, without a warning."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from numpy.typing import NDArray

from eval.report import fonts as report_fonts
from eval.report.drawing import shortened
from eval.report.drawn_detections import COLOURS, SCORE_FRACTION, choose_detections, is_found
from eval.report.fonts import families_for
from eval.report.timelines import draw_overview, draw_timeline
from eval.segments import segments_from_rows
from tests.report_case import CLASSES, SECONDS, Rows, make_scores


def pixels(figure: Figure | bytes) -> NDArray[np.uint8]:
    """(height, width, 3) pixel values of a figure or of a PNG file."""
    buffer = BytesIO(figure if isinstance(figure, bytes) else b"")
    if isinstance(figure, Figure):
        figure.savefig(buffer, format="png")
        buffer.seek(0)
    return np.round(matplotlib.image.imread(buffer)[..., :3] * 255).astype(np.uint8)


def area(image: NDArray[np.uint8], colour: str) -> int:
    """How many pixels have exactly this colour."""
    wanted = np.round(np.array(to_rgb(colour)) * 255)
    return int((image == wanted).all(axis=-1).sum())


instance = st.tuples(st.integers(0, 20), st.integers(0, 8), st.integers(-4, 8))


@settings(deadline=None, max_examples=100)
@given(st.lists(instance, max_size=25), st.integers(1, 3))
def test_lanes(rows: list[tuple[int, int, int]], lanes: int) -> None:
    table = segments_from_rows(["v"], CLASSES, [(0, 1, s, s + n, p / 8) for s, n, p in rows])
    drawn = choose_detections(table, CLASSES[1], lanes)
    expected: list[tuple[int, float, float, float]] = []  # one detection at a time
    best = max((p / 8 for _, _, p in rows), default=0)
    for start, length, score in sorted(rows, key=lambda row: -row[2]):
        if score / 8 < min(best, SCORE_FRACTION * best):
            continue
        for lane in range(lanes):
            others = [row for row in expected if row[0] == lane]
            if all(end <= start or begin >= start + length for _, begin, end, _ in others):
                expected.append((lane, start, start + length, score / 8))
                break
    columns = (drawn.lane, drawn.rows.start, drawn.rows.end, drawn.rows.score)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert drawn.total == len(rows)
    assert ((drawn.opacity >= 0) & (drawn.opacity <= 1)).all()
    assert (np.diff(drawn.opacity) <= 0).all()
    assert not len(choose_detections(table, CLASSES[0], lanes).rows)


def test_found_instances() -> None:
    instances = segments_from_rows(["v"], CLASSES, [(0, 0, 0, 4, 1), (0, 0, 10, 14, 1)])
    drawn = segments_from_rows(["v"], CLASSES, [(0, 0, 0, 2, 1), (0, 0, 10, 11.9, 1)])
    assert is_found(instances, drawn).tolist() == [True, False]
    assert is_found(instances, drawn.take(np.zeros(2, bool))).tolist() == [False, False]
    assert not len(is_found(instances.take(np.zeros(2, bool)), drawn))


SCRIPTS = {  # in no font of matplotlib, which has Latin, Greek, Cyrillic and Arabic
    "Chinese": "跳水",
    "Japanese": "飛び込み",
    "Korean": "다이빙",
    "Thai": "ดำน้ำ",
    "emoji": "🤸‍♀️🏊",
    "not assigned": "\U000e0fff\ue000",
}


@pytest.fixture(params=["fonts of matplotlib", "a font of the system"])
def fonts(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[bool]:
    """Whether the system has a font that draws 跳 and 🏊 as filled squares; else only DejaVu."""
    with_font = request.param == "a font of the system"
    known = [entry for entry in fontManager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(fontManager, "ttflist", known)
    if with_font:
        fontManager.addfont(make_font(tmp_path / "font.ttf", "跳🏊"))
    clear_font_caches()
    yield with_font
    monkeypatch.undo()
    clear_font_caches()


def clear_font_caches() -> None:
    report_fonts._families.cache_clear()
    report_fonts._family_with.cache_clear()


def make_font(path: Path, letters: str) -> Path:
    """A font file whose letters are filled squares."""
    names = [f"letter{number}" for number in range(len(letters))]
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    font = FontBuilder(1000)
    font.setupGlyphOrder([".notdef", *names])
    font.setupCharacterMap(dict(zip(map(ord, letters), names, strict=True)))
    font.setupGlyf(dict.fromkeys([".notdef", *names], square))
    font.setupHorizontalMetrics(dict.fromkeys([".notdef", *names], (1000, 0)))
    font.setupHorizontalHeader(ascent=1000, descent=0)
    font.setupNameTable({"familyName": "Square CJK", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)
    return path


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SCRIPTS.values(), ids=SCRIPTS)
def test_names_in_any_script_are_drawn_without_a_warning(
    name: str, fonts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    classes = (f"{name} 1", name)
    truth = segments_from_rows([name], classes, [(0, 0, 1, 3, 1), (0, 1, 2, 4, 1)])
    video = make_scores(name, 9, 9, 2)
    for figure in (
        draw_timeline(video, truth, truth, snippet_seconds=SECONDS),
        draw_overview(video, truth, {name: truth}, snippet_seconds=SECONDS),
    ):
        pixels(figure)
        figure.savefig(BytesIO(), bbox_inches="tight")  # as notebooks do
    assert not caplog.records


def test_a_font_of_the_system_draws_what_matplotlib_lacks(fonts: bool) -> None:
    both = ["DejaVu Sans", "Square CJK"] if fonts else ["DejaVu Sans"]
    assert families_for("Diving 1½ ♀") == ["DejaVu Sans"]
    assert families_for("跳🏊 a", "bold") == both
    assert families_for("\nสa") == ["DejaVu Sans"]
    truth = segments_from_rows(["v"], ["跳" * 30], [(0, 0, 1, 3, 1)])
    figure = draw_timeline(make_scores("v", 9, 9, 1), truth, truth, snippet_seconds=SECONDS)
    label = pixels(figure)[75:105, :262]  # to the left of the instances
    assert (area(label, COLOURS[0]) > 2000) == fonts
    assert area(label[:, :5], "white") == 5 * 30  # cut to its place


def test_a_font_that_was_removed_or_damaged_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for damage in (Path.unlink, lambda path: path.write_bytes(b"no font")):
        monkeypatch.setattr(fontManager, "ttflist", list(fontManager.ttflist))
        path = make_font(tmp_path / "font.ttf", "跳")
        fontManager.addfont(path)
        damage(path)
        clear_font_caches()
        assert families_for("跳") == ["DejaVu Sans"]
    clear_font_caches()


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("Diving", 6, "Diving"),
        ("Diving", 5, "Divi…"),
        ("跳水跳", 6, "跳水跳"),
        ("跳水跳", 5, "跳水…"),
    ],
)
def test_long_names_are_shortened_by_their_width(text: str, most: int, expected: str) -> None:
    assert shortened(text, most) == expected


LONG = [(0, c, 8.0 * i + c, 8.0 * i + c + 3, 1.0) for c in range(6) for i in range(220)]
ONE = [(0, 0, 0.1, 0.5, 0.7)]


@pytest.mark.parametrize(
    ("snippets", "sampled", "truth_rows", "detection_rows", "classes"),
    [
        pytest.param(2812, 750, LONG, LONG, 5, id="30 minutes, six classes"),
        pytest.param(1, 1, ONE, ONE, 1, id="one snippet"),
        pytest.param(0, 0, [], [], 0, id="no snippet"),
        pytest.param(30, 30, [], [], 0, id="nothing"),
        pytest.param(30, 30, ONE, [], 1, id="no detection"),
        pytest.param(30, 30, [], ONE, 1, id="no instance"),
        pytest.param(30, 30, [(0, 3, 1, 1, 1)], [(0, 3, 2, 2, 0.5)], 1, id="no length"),
        pytest.param(30, 30, ONE, [(0, 0, 0, 1, -0.5), (0, 1, 0, 1, 0)], 2, id="scores up to 0"),
    ],
)
def test_timeline(
    snippets: int, sampled: int, truth_rows: Rows, detection_rows: Rows, classes: int
) -> None:
    truth = segments_from_rows(["v"], CLASSES, truth_rows)
    detections = segments_from_rows(["v"], CLASSES, detection_rows)
    video = make_scores("v", snippets, sampled)
    image = pixels(draw_timeline(video, truth, detections, snippet_seconds=SECONDS))
    assert image.shape[:2] == (441 + 93 * max(classes, 1), 1500)
    assert [area(image, colour) > 0 for colour in COLOURS] == [i < classes for i in range(5)]
    overview = draw_overview(video, truth, detections, snippet_seconds=SECONDS)
    assert (overview.get_size_inches() * overview.dpi).round().tolist() == [1600, 600]


def test_timeline_shows_what_was_found() -> None:
    video = make_scores("v", 100, 100)
    truth = segments_from_rows(["v"], CLASSES, [(0, 0, 10, 50, 1)])
    blue = {}
    for end in (50.0, 12.0):
        detections = segments_from_rows(["v"], CLASSES, [(0, 0, 10, end, 0.9)])
        figure = draw_timeline(video, truth, detections, snippet_seconds=SECONDS)
        rows = pixels(figure)[75:120]  # the row of instances
        blue[end] = area(rows, COLOURS[0])
    assert blue[50.0] > 10 * blue[12.0] > 0  # a missed one is hollow


def test_timeline_of_a_video_that_the_tables_lack() -> None:
    truth = segments_from_rows(["other"], CLASSES, ONE)
    figure = draw_timeline(make_scores("v", 9, 9), truth, truth, snippet_seconds=SECONDS)
    assert area(pixels(figure), COLOURS[0]) == 0


def test_overview_of_two_methods_in_a_window() -> None:
    video = make_scores("v", 100, 100)
    truth = segments_from_rows(["v"], CLASSES, [(0, 0, 10, 20, 1), (0, 2, 30, 40, 1)])
    early = segments_from_rows(["v"], CLASSES, [(0, 0, 11, 20, 0.9)])
    late = segments_from_rows(["v"], CLASSES[::-1], [(0, 3, 31, 39, 0.2)])  # classes by name
    methods = {"ACM-Net": early, "FTCL-Net": late}
    arguments: dict[str, Any] = {"snippet_seconds": SECONDS, "heading": "Two of them"}
    whole = pixels(draw_overview(video, truth, methods, **arguments))
    part = pixels(draw_overview(video, truth, methods, window=(25, 45), **arguments))
    assert whole.shape == part.shape == (600, 1600, 3)
    assert area(whole, COLOURS[0]) > 2000
    assert area(part, COLOURS[1]) > 1.5 * area(whole, COLOURS[1])
    assert area(part[330:], COLOURS[0]) == 0  # the bars: Diving lies outside of the window
