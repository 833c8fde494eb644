"""The report: what the page and report.json hold, and that no name can break out of the page."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from config.datasets import THUMOS14
from eval.detection.average_precision import detection_map
from eval.detection.error_analysis import BEST, KINDS, analyze_errors
from eval.evaluator import Evaluation
from eval.report import page_data as page_data_module
from eval.report.encoding import packed, script_json
from eval.report.page import VideoContents, write_report
from eval.segments import segments_from_rows
from tests.report_case import CLASSES, SECONDS, Case, make_case
from utils.errors import UserError


def write(folder: Path, case: Case, **more: Any) -> str:
    evaluation, scores, truth = case
    contents = VideoContents(scores, evaluation.detections.classes, SECONDS)
    arguments = {"title": "A title", "settings": {}, "unpredicted": ("unscored",), **more}
    page = write_report(folder, evaluation, truth, contents, **arguments)
    assert page == folder / "report.html"
    return page.read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = self.script = self.data = ""
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag in ("script", "style"):
            self.inside = "data" if ("id", "report-data") in attrs else tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "data":
            self.data += data
        elif self.inside == "script":
            self.script += data
        elif not self.inside:
            self.text += data

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]

    def videos(self) -> dict[str, Any]:
        """What the script reads."""
        found: dict[str, Any] = json.loads(self.data)
        return found


def unpacked(value: dict[str, str]) -> NDArray:
    """The array that the script makes of a packed one."""
    return np.frombuffer(base64.b64decode(value["data"]), f"<{value['type']}")


def test_json_holds_the_numbers_of_the_evaluation(tmp_path: Path) -> None:
    case = evaluation, _, truth = make_case()
    settings = {"lr": 1e-4, "tiou": (0.1, 0.5), "data_dir": Path("data")}
    write(tmp_path, case, settings=settings, command="python x", versions={"versions": {"a": "1"}})
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
    assert (found["command"], found["versions"]) == ("python x", {"a": "1"})
    # b: the one instance is found with tIoU 4/6, at six of the seven thresholds
    expected = {"video_a": 100, "video_b": 600 / 7, "video_c": 0, "unscored": 0}
    assert found["video_mAP"] == pytest.approx(expected)


def test_page_shows_the_numbers(tmp_path: Path) -> None:
    case = evaluation, _, _ = make_case()
    settings = {"lr": 0.0125, "tiou": [0.1, 0.5]}
    more = {"command": "python main_thu.py --test", "versions": {"numpy": "7.8", "x": None}}
    text = " ".join(Page(write(tmp_path, case, settings=settings, **more)).text.split())
    for shown in (
        *(f"{value:.2f}" for value in evaluation.detection.averages().values()),
        *(f"{value * 100:.2f}" for value in evaluation.detection.mean_average_precision),
        *("75.00 %", "5 videos, 5 instances of 2 classes", "0.0125", "0.1, 0.5"),
        *("for which there is no prediction: 1, whose 1 instances", "unscored"),
        *("python main_thu.py --test", "numpy7.8"),
    ):
        assert shown in text
    assert "None" not in text
    assert "Classes without instances are not shown" not in text
    assert "Shotput" not in text  # neither an instance nor a detection


def test_page_counts_the_detections_of_hidden_classes(tmp_path: Path) -> None:
    evaluation, scores, truth = make_case(truth_rows=((0, 1, 9, 12, 1),))
    found = evaluation.detections
    truth = truth.take(truth.label == 1)
    result = detection_map(truth, found)
    case = (Evaluation(found, result, 0.5, THUMOS14.main_average), scores, truth)
    text = " ".join(Page(write(tmp_path, case)).text.split())
    assert "Classes without instances are not shown: 2, with 4 detections." in text


EVIL = '<script>alert(1)</script><b onclick="x">&amp;\'\u2028]]>'


def test_names_are_escaped(tmp_path: Path) -> None:
    names = (f"{EVIL}1", "2'\"> {{ title }} %41 {% raw %}", "<!--", "</script\n>")
    case = make_case(names, (f"{EVIL}Diving", "</script><img src=x onerror=x>", "$\\frac$"))
    settings = {f"{EVIL}key": f"{EVIL}value"}
    html = write(tmp_path, case, title=f"{EVIL}title", settings=settings, command=EVIL)
    page = Page(html)
    assert not page.tags & {"img", "b onclick", "iframe", "object", "base", "link"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert html.count("<script") == html.count("</script") == 2
    for shown in (*case[2].classes[:2], *(EVIL + end for end in ("key", "value", "title"))):
        assert shown in page.text
    videos = page.videos()
    assert videos["videos"]["names"] == [*names, "unscored"]
    assert videos["classes"] == list(case[2].classes)
    assert "\u2028" not in page.data


def test_page_needs_no_network_and_runs_only_its_script(tmp_path: Path) -> None:
    html = write(tmp_path, make_case())
    page = Page(html)
    assert not page.values("src")
    assert all(value.startswith("#") for value in page.values("href"))
    without_namespace = page.script.replace("http://www.w3.org/2000/svg", "")
    for text in (str(page.attributes), page.text, without_namespace):
        assert not re.search("https?:", text)
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    policy = next(value for value in page.values("content") if "default-src" in value)
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )


def test_same_input_same_bytes(tmp_path: Path) -> None:
    evaluation, scores, truth = make_case()
    first = write(tmp_path / "one", (evaluation, scores, truth))
    second = write(tmp_path / "two", (evaluation, scores[::-1], truth))
    assert first == second


def test_report_without_ground_truth(tmp_path: Path) -> None:
    page = Page(write(tmp_path, make_case(truth_rows=()), unpredicted=()))
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["headline"]["mAP"] is None
    assert found["classification_mAP"] is None
    assert found["video_mAP"] == {}
    assert "nan" not in page.data.lower()
    assert unpacked(page.videos()["instances"]["count"]).tolist() == [0, 0, 0, 0]


def test_report_without_scores_or_detections(tmp_path: Path) -> None:
    evaluation, _, truth = make_case()
    none = segments_from_rows(evaluation.detections.videos, CLASSES[:3], [])
    empty = Evaluation(none, detection_map(truth, none), 0.5, THUMOS14.main_average)
    page = Page(write(tmp_path, (empty, [], truth)))
    assert page.videos()["curves"] is None
    assert not len(unpacked(page.videos()["detections"]["score"]))
    assert (unpacked(page.videos()["instances"]["holder"]) == -1).all()
    assert "0.00 %" in page.text


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write(tmp_path / "file" / "report", make_case())


def test_text_that_is_no_unicode(tmp_path: Path) -> None:
    path = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert "caf?" in write(tmp_path, make_case(), settings={"data_dir": path})


def test_videos_of_the_page(tmp_path: Path) -> None:
    """The packed tables, by hand: one video is outside the ground truth."""
    evaluation, scores, truth = make_case()
    names = (*evaluation.detections.videos[:3], "elsewhere")
    found = replace(evaluation.detections, videos=names)
    result = detection_map(truth, found)
    page = Page(write(tmp_path, (replace(evaluation, detections=found), scores, truth)))
    videos = page.videos()
    assert videos["videos"]["names"] == [*truth.videos, "elsewhere"]
    assert videos["videos"]["known"] == 5
    lengths = unpacked(videos["videos"]["seconds"])
    assert lengths == pytest.approx([20 * SECONDS] * 4 + [0, 0])
    detections = {name: unpacked(value) for name, value in videos["detections"].items()}
    assert detections["count"].tolist() == [2, 1, 1, 0, 0, 1]
    assert detections["score"] == pytest.approx([0.9, 0.8, 0.6, 0.5, 0.3])
    assert detections["start"].tolist() == [2, 9, 3, 4, 1]
    assert detections["level"].tolist() == [9, 9, 6, 0, 0]  # thresholds that the tIoU reaches
    assert detections["overlap"].tolist() == [1, 1, 1, 2, 0]  # own class, another one, none
    holder = unpacked(videos["instances"]["holder"]).reshape(len(result.tiou), -1)
    assert holder[0].tolist() == [0, 1, 2, -1, -1]
    assert holder[-1].tolist() == [0, 1, -1, -1, -1]
    precision = unpacked(videos["pairs"]["precision"]).reshape(-1, len(result.tiou) + 1)
    assert unpacked(videos["pairs"]["label"]).tolist() == [0, 1, 0, 1, 0]
    assert precision[:, -1] == pytest.approx([100, 100, 600 / 7, 0, 0])
    assert precision[2, :9].tolist() == [100] * 6 + [0] * 3


def test_too_many_detections_are_thinned_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_data_module, "FEWEST_PER_VIDEO", 1)
    defaults = {**(page_data_module.page_data.__kwdefaults__ or {}), "most": 4}
    monkeypatch.setattr(page_data_module.page_data, "__kwdefaults__", defaults)
    videos = Page(write(tmp_path, make_case())).videos()
    assert unpacked(videos["detections"]["count"]).tolist() == [1, 1, 1, 1, 0]
    holder = unpacked(videos["instances"]["holder"])[:5].tolist()
    assert holder == [0, -2, 1, -1, -1]  # the second one is found by a detection not shown
    assert videos["notes"] == [
        "Of each video, the 1 detections of highest score are shown, 4 of 5. The numbers of all "
        "sections above cover all detections."
    ]


def test_packed_numbers() -> None:
    values = np.array([[0, 255], [7, 1]])
    assert unpacked(packed(values, "u1")).tolist() == [0, 255, 7, 1]
    assert unpacked(packed([0.5, -2], "f4")).tolist() == [0.5, -2]
    assert not len(unpacked(packed([], "u2")))
    for wrong in ([256], [-1]):
        with pytest.raises(ValueError, match="do not fit into u1"):
            packed(wrong, "u1")


def test_json_in_a_script_element() -> None:
    value = {EVIL: ["<!--<script>", "ümläut 🤸 \u2029", "\ud800"]}
    text = script_json(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")
    assert text.isascii()


def test_real_predictions_fit_into_a_small_page(real_data: Path, tmp_path: Path) -> None:
    from eval.report import command

    truth = real_data / "thumos14_derived" / "gt.json"
    found = real_data / "predictions" / "thumos14_test.json"
    arguments = ["--ground_truth", truth, "--predictions", found, "--output", tmp_path]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["eval.report", *map(str, arguments)])
        command.main()
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(html) < 8_000_000
    videos = Page(html).videos()
    assert len(videos["videos"]["names"]) == 212
    assert len(unpacked(videos["detections"]["score"])) == 31_587
    assert not videos["notes"]
    values = json.loads((tmp_path / "report.json").read_text())
    assert values["headline"]["mAP"] == pytest.approx(42.4284, abs=0.05)
