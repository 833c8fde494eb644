"""The report: what is written, that no name can break out of it, and the figures."""

import base64
import json
import math
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
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

from config.datasets import THUMOS14
from eval.detection.average_precision import detection_map
from eval.detection.error_analysis import BEST, KINDS, analyze_errors
from eval.evaluator import Evaluation
from eval.report import fonts as report_fonts
from eval.report.drawing import shortened
from eval.report.drawn_detections import COLOURS, SCORE_FRACTION, choose_detections, is_found
from eval.report.drawn_videos import choose_videos, rate_videos
from eval.report.fonts import families_for
from eval.report.page import write_report
from eval.report.timelines import draw_overview, draw_timeline
from eval.scores import VideoScores
from eval.segments import Segments, segments_from_rows
from utils.errors import UserError

CLASSES = ("Diving", "CliffDiving", "Shotput", "High $x_1$ Jump", "Billiards", "TennisSwing")
SECONDS = 0.64
Rows = Sequence[tuple[int, int, float, float, float]]


def make_scores(name: str, snippets: int, sampled: int, classes: int = len(CLASSES)) -> VideoScores:
    rng = np.random.default_rng(snippets)
    return VideoScores(
        name,
        snippets,
        rng.dirichlet(np.ones(classes + 1), sampled).astype(np.float32),
        rng.random(sampled).astype(np.float32),
        np.full(classes + 1, 1 / (classes + 1), np.float32),
    )


def make_case(
    names: Sequence[str] = ("video_a", "video_b", "video_c", "video_d"),
    classes: Sequence[str] = CLASSES[:3],
    truth_rows: Rows = ((0, 0, 2, 8, 1), (0, 1, 9, 12, 1), (1, 0, 3, 9, 1), (2, 1, 4, 8, 1)),
) -> tuple[Evaluation, list[VideoScores], Segments]:
    """Video 0 is found in full, 1 badly, 2 not at all; 3 has no instance; one was not scored."""
    truth = segments_from_rows([*names, "unscored"], classes, [*truth_rows, (4, 0, 1, 2, 1)])
    if not truth_rows:
        truth = segments_from_rows(names, classes, [])
    rows = [(0, 0, 2, 8, 0.9), (0, 1, 9, 12, 0.8), (1, 0, 3, 7, 0.6), (2, 0, 4, 8, 0.5)]
    detections = segments_from_rows(names, classes, [*rows, (3, 0, 1, 2, 0.3)])
    evaluation = Evaluation(
        detections,
        detection_map(truth, detections),
        0.75 if truth_rows else math.nan,
        THUMOS14.main_average,
    )
    return evaluation, [make_scores(name, 20, 20, len(classes)) for name in names], truth


def write(folder: Path, case: tuple[Evaluation, list[VideoScores], Segments], **more: Any) -> str:
    arguments = {"title": "A title", "settings": {}, "snippet_seconds": SECONDS, "videos": 3}
    page = write_report(folder, *case, **{**arguments, **more})
    assert page == folder / "report.html"
    return page.read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


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


def test_json_holds_the_numbers_of_the_evaluation(tmp_path: Path) -> None:
    case = evaluation, _, truth = make_case()
    write(tmp_path, case, settings={"lr": 1e-4, "tiou": (0.1, 0.5), "data_dir": Path("data")})
    found = json.loads((tmp_path / "report.json").read_text())
    result = evaluation.detection
    assert found["tiou"] == result.tiou.tolist()
    assert found["mAP"] == (result.mean_average_precision * 100).tolist()
    assert found["average_mAP"] == result.averages()
    assert found["headline"] == {"average": ".1-.7", "mAP": result.averages()[".1-.7"]}
    assert found["classification_mAP"] == 75
    counts = [found[key] for key in ("videos", "instances", "detections", "classes_scored")]
    assert counts == [5, 5, 5, 2]
    assert found["videos_not_predicted"] == ["unscored"]
    assert found["instances_not_predicted"] == 1
    assert found["false_positives_without_annotation"] == 1
    diving = found["classes"]["Diving"]
    assert diving["AP"] == (result.average_precision[:, 0] * 100).tolist()
    assert diving["average_AP"] == pytest.approx(np.mean(diving["AP"][:7]))
    assert found["classes"]["Shotput"]["average_AP"] is None  # has no instance
    errors = analyze_errors(truth, evaluation.detections).errors.tolist()
    counts = [dict(zip(KINDS, row, strict=True)) for row in errors]
    assert found["errors"]["best"] == dict(zip(BEST, counts, strict=True))
    assert found["settings"] == {"lr": 1e-4, "tiou": [0.1, 0.5], "data_dir": "data"}
    assert found["drawn"] == {"all, best first": ["video_a", "video_b", "video_c"]}


def test_page_shows_the_numbers(tmp_path: Path) -> None:
    case = evaluation, _, _ = make_case()
    text = Page(write(tmp_path, case, settings={"lr": 0.0125, "tiou": [0.1, 0.5]}, videos=0)).text
    for shown in (
        *(f"{value:.2f}" for value in evaluation.detection.averages().values()),
        *(f"{value * 100:.2f}" for value in evaluation.detection.mean_average_precision),
        *("75.00 %", "5 videos, 5 instances of 2 classes", "0.0125", "0.1, 0.5"),
        *("for which the network gave no scores: 1, whose 1 instances", "unscored"),
    ):
        assert shown in text
    assert "Shotput" not in text  # neither an instance nor a detection
    assert "Classes without instances are not shown" not in text


def test_page_counts_the_detections_of_hidden_classes(tmp_path: Path) -> None:
    evaluation, scores, truth = make_case(truth_rows=((0, 1, 9, 12, 1),))
    found = evaluation.detections
    truth = truth.take(truth.label == 1)
    result = detection_map(truth, found)
    case = (Evaluation(found, result, 0.5, THUMOS14.main_average), scores, truth)
    text = " ".join(Page(write(tmp_path, case, videos=0)).text.split())
    assert "Classes without instances are not shown: 2, with 4 detections." in text


def test_names_are_escaped(tmp_path: Path) -> None:
    evil = '<script>alert(1)<b onclick="x">&amp;'
    names = (f"{evil}1", "2'\"> {{ title }} %41", "video_c", "video_d")
    case = make_case(names, (f"{evil}Diving", "</script><img src=x onerror=x>", "$\\frac$"))
    html = write(
        tmp_path, case, title=f"{evil}title", settings={f"{evil}key": f"{evil}value"}, videos=2
    )
    page = Page(html)
    assert not page.tags & {"script", "b onclick", "iframe", "object", "base"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for shown in (names[0], names[1], *case[2].classes[:2], *(evil + e for e in ("key", "value"))):
        assert shown in page.text
    assert f"{evil}title" in page.text
    assert {f"video-{name}" for name in names[:2]} <= set(page.values("id"))


def test_page_needs_no_network_and_no_script(tmp_path: Path) -> None:
    page = Page(write(tmp_path, make_case(), videos=1))
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert all(value.startswith("data:image/png;base64,") for value in page.values("src"))
    assert all(value.startswith("#") for value in page.values("href"))
    assert "http://" not in str(page.attributes) + page.text
    assert "https://" not in str(page.attributes) + page.text
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.values("content")


def test_figures_are_embedded_and_kept(tmp_path: Path) -> None:
    page = Page(write(tmp_path, make_case()))
    embedded = [base64.b64decode(value.partition(",")[2]) for value in page.values("src")]
    files = [tmp_path / "timelines" / f"video_{letter}.png" for letter in "abc"]
    assert [path.read_bytes() for path in files] == embedded
    assert sorted((tmp_path / "timelines").iterdir()) == files
    for image in map(pixels, embedded):
        assert image.shape[1] == 1500
        assert area(image, COLOURS[0]) + area(image, COLOURS[1]) > 100


def test_same_input_same_bytes(tmp_path: Path) -> None:
    evaluation, scores, truth = make_case()
    first = write(tmp_path / "one", (evaluation, scores, truth), videos=1)
    second = write(tmp_path / "two", (evaluation, scores[::-1], truth), videos=1)
    assert first == second


def test_report_without_ground_truth(tmp_path: Path) -> None:
    page = Page(write(tmp_path, make_case(truth_rows=()), videos=2))
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["headline"]["mAP"] is None
    assert found["classification_mAP"] is None
    assert list(found["drawn"].values()) == [["video_a", "video_b"]]
    assert len(page.values("src")) == 2


def test_report_without_figures_or_detections(tmp_path: Path) -> None:
    evaluation, scores, truth = make_case()
    none = segments_from_rows(evaluation.detections.videos, CLASSES[:3], [])
    empty = Evaluation(none, detection_map(truth, none), 0.5, THUMOS14.main_average)
    page = Page(write(tmp_path, (empty, scores, truth), videos=0))
    assert not page.values("src")
    assert not (tmp_path / "timelines").exists()
    assert "0.00 %" in page.text


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "a/b", "..", "a\\b", "C:x", "a\nb"])
def test_video_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="not a plain file name"):
        write(tmp_path / "report", make_case((name, "video_b", "video_c", "video_d")))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write(tmp_path / "file" / "report", make_case())


def test_text_that_is_no_unicode(tmp_path: Path) -> None:
    path = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert "caf?" in write(tmp_path, make_case(), settings={"data_dir": path}, videos=0)


def test_video_scores_by_hand() -> None:
    evaluation, scores, truth = make_case()
    rated = rate_videos(evaluation, truth, [video.name for video in scores])
    # b: the one instance is found with tIoU 4/6, at six of the seven thresholds
    expected = {"video_a": 100, "video_b": 600 / 7, "video_c": 0}
    assert rated == pytest.approx(expected)


@pytest.mark.parametrize("count", range(13))
def test_choice_of_videos(count: int) -> None:
    rated = {f"v{i:02}": float(i // 2) for i in range(13)}
    groups = choose_videos(rated, list(rated), count)
    drawn = [name for names in groups.values() for name in names]
    assert len(drawn) == len(set(drawn)) == count
    assert list(groups) == ["best", "median", "worst"]
    assert groups == choose_videos(dict(reversed(rated.items())), list(rated)[::-1], count)
    if count >= 3:
        assert groups["best"][0] == "v12"
        assert "v07" in groups["median"]
        assert groups["worst"][-1] == "v01"  # as bad as v00, but later by name


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
