"""The comparison of several prediction files, and the figures of videos for papers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from eval.detection.average_precision import detection_map
from eval.report import command as report_command
from eval.report.comparison import compare_methods
from eval.report.paper_figure import draw_paper_timeline
from eval.report.sources import find_sources, short_names
from eval.scores_file import write_scores
from eval.segments import segments_from_rows
from tests.program import run_command
from tests.report_case import CLASSES, make_scores
from tests.test_report import Page, unpacked
from utils.errors import UserError

TIOU = (0.3, 0.4, 0.5, 0.6, 0.7)
NAMES = ("v0", "v1", "v2", "v3")
# Method A finds v0 and half of v1, B finds v1 and nothing of v0; v2 is missed, v3 not annotated.
TRUTH = segments_from_rows(NAMES, CLASSES[:3], [(0, 0, 0, 4, 1), (1, 1, 2, 6, 1), (2, 0, 1, 2, 1)])
A = segments_from_rows(NAMES, CLASSES[:3], [(0, 0, 0, 4, 0.9), (1, 1, 2, 4.2, 0.5)])
B = segments_from_rows([*NAMES, "new"], CLASSES[:3], [(1, 1, 2, 6, 0.5), (4, 0, 1, 2, 0.1)])


def test_values_of_a_comparison() -> None:
    methods = {"A": A, "B": B, "C": A}
    compared = compare_methods(methods, TRUTH, TIOU, (0.3, 0.7))
    for name, found in methods.items():
        expected = detection_map(TRUTH, found, TIOU)
        one = compared.methods[name].detection
        np.testing.assert_array_equal(one.average_precision, expected.average_precision)
    assert compared.average == ".3-.7"
    averages = compared.class_averages()
    assert np.isnan(averages[:, 2]).all()
    np.testing.assert_allclose(averages[:, 1], [60, 100, 60])
    assert compared.video_averages()["A"] == pytest.approx({"v0": 100, "v1": 60, "v2": 0})
    assert compared.changes("B") == {
        "classes": {"better": 1, "worse": 1, "equal": 0},
        "videos": {"better": 1, "worse": 1, "equal": 1},
    }
    assert compared.changes("C")["videos"] == {"better": 0, "worse": 0, "equal": 3}
    lines = compared.lines()
    assert lines[2].endswith("; classes: 1 better, 1 worse; videos: 1 better, 1 worse")
    values = compared.values()
    assert values["methods"]["A"]["changes"] is None
    assert set(values["methods"]["B"]["class_AP"]) == set(CLASSES[:2])


def test_names_of_files_are_as_short_as_they_differ() -> None:
    for words, expected in (
        (["a.json", "b.json"], ["a", "b"]),
        (["x/acm/p.json", "x/ftcl/p.json"], ["acm", "ftcl"]),
        (["runs/v1.5", "runs/v1.6"], ["v1.5", "v1.6"]),
        (["a/p.json", "b/p.json", "a/q.json"], ["a/p.json", "b/p.json", "a/q.json"]),
        (["a.json", "a.json"], ["1: a.json", "2: a.json"]),
        (["."], ["."]),
    ):
        assert short_names([Path(word) for word in words]) == expected


def test_sources(tmp_path: Path) -> None:
    for run in ("acm", "ftcl", "empty"):
        (tmp_path / run).mkdir()
    for name in ("acm/THUMOS_latest", "acm/THUMOS_best", "ftcl/THUMOS_latest"):
        (tmp_path / f"{name}_predictions.json").write_text("{}")
    runs = [tmp_path / "acm", tmp_path / "ftcl"]
    found = find_sources([], runs, [])
    assert [source.name for source in found] == ["acm", "ftcl"]
    assert found[0].path.name == "THUMOS_best_predictions.json"
    assert [s.name for s in find_sources([Path("x.json")], runs[:1], ["X", "Y"])] == ["X", "Y"]
    for arguments, message in (
        (([], [tmp_path / "empty"], []), r"has no \*_predictions.json; write it with"),
        (([], [tmp_path / "none"], []), "is not a folder"),
        (([Path("a")], [], ["A", "B"]), "--names has 2 names for 1 prediction files; wanted one"),
        (([Path("a"), Path("b")], [], ["A", "A"]), "--names A is given twice"),
        (([Path("a")] * 7, [], []), "7 prediction files; a page compares at most 6"),
    ):
        with pytest.raises(UserError, match=message):
            find_sources(*arguments)


Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command on the methods A and B; returns what it prints."""
    monkeypatch.chdir(tmp_path)
    database = {
        name: {
            "subset": "test",
            "duration": 10,
            "annotations": [
                {"label": TRUTH.classes[TRUTH.label[i]], "segment": [TRUTH.start[i], TRUTH.end[i]]}
                for i in np.flatnonzero(TRUTH.video == v)
            ],
        }
        for v, name in enumerate(NAMES)
    }
    Path("gt.json").write_text(json.dumps({"database": database}))
    for file, table in (("a.json", A), ("b.json", B)):
        results: dict[str, list[object]] = {name: [] for name in table.videos}
        for i in range(len(table)):
            row = {"label": table.classes[table.label[i]], "score": table.score[i]}
            row["segment"] = [table.start[i], table.end[i]]
            results[table.videos[table.video[i]]].append(row)
        Path(file).write_text(json.dumps({"results": results}))

    def run_report(*words: str, exits: int = 0) -> str:
        return run_command(
            report_command.main, "eval.report", ["--ground_truth", "gt.json", *words], exits
        )

    return run_report


def test_the_page_of_a_comparison(run: Run) -> None:
    both = ["--predictions", "a.json", "b.json", "--names", "<b>A</b>", "B"]
    printed = run(*both)
    assert "comparison: a_comparison/comparison.html" in printed
    assert "videos: 1 better, 1 worse" in printed
    page = Page(Path("a_comparison/comparison.html").read_text(encoding="utf-8"))
    methods = page.videos()["methods"]
    assert [method["name"] for method in methods] == ["<b>A</b>", "B"]
    assert [unpacked(m["detections"]["count"]).tolist() for m in methods] == [
        [1, 1, 0, 0],
        [0, 1, 0, 0, 1],
    ]
    text = " ".join(page.text.split())
    assert "Comparison of 2 prediction files on 4 videos with 3 instances of 2 classes" in text
    assert "classes: 1 better, 1 worse, 0 equal" in text
    assert "<b>A</b>" in text
    assert text.index("CliffDiving") < text.index("Diving 2")  # better classes come first
    values = json.loads(Path("a_comparison/comparison.json").read_text())
    assert values["compared_with"] == "<b>A</b>"
    assert values["methods"]["B"]["video_AP"]["v0"] == 0
    assert not any(value.startswith(("http", "//")) for value in page.values("src"))


def test_the_first_file_chooses_the_videos(run: Run) -> None:
    results = json.loads(Path("b.json").read_text())
    del results["results"]["v0"]
    Path("c.json").write_text(json.dumps(results))
    files = ["--predictions", "a.json", "c.json"]
    message = run(*files, "--evaluate", "predicted", exits=2)
    assert "--evaluate predicted chooses 4 videos for a and 3 for c, or other ones" in message
    Path("list.txt").write_text("v0\nv1\n")
    run(*files, "--evaluate", "list.txt", "--output", "out")
    values = json.loads(Path("out/comparison.json").read_text())
    assert set(values["methods"]["c"]["video_AP"]) == {"v0", "v1"}
    assert values["methods"]["c"]["videos_not_predicted"] == ["v0"]


def test_figures(run: Run) -> None:
    write_scores(Path("s.npz"), [make_scores("v0", 9, 9, 3)], CLASSES[:3], 0.5)
    one = ["--predictions", "a.json", "--scores", "s.npz", "--figure", "v0", "v_v1"]
    printed = run(*one, "--figure_format", "png", "svg", "--output", "figures")
    assert printed.count("figure: ") == 4
    assert Path("figures/v1.png").read_bytes().startswith(b"\x89PNG")
    assert not list(Path().rglob("*.html"))
    run("--predictions", "a.json", "b.json", "--figure", "v3", "--output", "figures")
    assert Path("figures/v3.pdf").read_bytes().startswith(b"%PDF")


def test_what_a_figure_draws() -> None:
    figure = draw_paper_timeline("v1", 10, TRUTH, {"A": A, "$B$": B})
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["CliffDiving", "A", "$B$"]
    bars = [c for c in axes.collections if isinstance(c, PolyCollection)]
    ends = [[path.get_extents().x1 for path in each.get_paths()] for each in bars]
    assert ends == [[6], [4.2], [6]]
    scores = make_scores("v0", 9, 9, 3)
    assert len(draw_paper_timeline("v0", 9, TRUTH, {"A": A}, scores, CLASSES[:3]).axes) == 3
    empty = draw_paper_timeline("v3", 0, TRUTH, {"A": A})
    assert [text.get_text() for text in empty.axes[0].texts] == ["no instance, no detection"]


def test_mistakes(run: Run) -> None:
    one, two = ["--predictions", "a.json"], ["--predictions", "a.json", "b.json"]
    Path("x.jpg").write_bytes(b"")
    Path("x.png").write_bytes(b"no image")
    for words, message in (
        ([], "no predictions: give --predictions FILE, or --runs DIR"),
        ([*two, "--scores", "s.npz"], "--scores belongs to one prediction file"),
        ([*one, "--figure", "v1", "video_1"], "--figure video_1: not among the 4 evaluated videos"),
        ([*one, "--alignment", "x.jpg"], "--alignment x.jpg is no image that a page can show"),
        ([*one, "--alignment", "x.png"], "--alignment x.png is no image that a page can show"),
        ([*one, "--alignment", "y.png"], "--alignment y.png cannot be read: No such file"),
    ):
        assert message in run(*words, exits=2)


def test_an_image_of_alignments_is_shown(run: Run) -> None:
    Path("x.svg").write_text("<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>")
    run("--predictions", "a.json", "--alignment", "x.svg", "--output", "out")
    page = Page(Path("out/report.html").read_text(encoding="utf-8"))
    (source,) = page.values("src")
    assert source.startswith("data:image/svg+xml;base64,")
