"""The prediction file: read back bit for bit, tolerant, one line about a bad file."""

import json
import pickle
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.detection.prediction_file import read_predictions, write_predictions
from eval.segments import Segments, segments_from_rows
from utils.errors import UserError

finite = st.floats(allow_nan=False, allow_infinity=False)
times = st.tuples(finite.map(abs), finite.map(abs)).map(sorted)
rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), times, finite), max_size=20)


def assert_equal(one: Segments, other: Segments) -> None:
    assert one.videos == other.videos
    assert [one.classes[i] for i in one.label] == [other.classes[i] for i in other.label]
    for column in ("video", "start", "end", "score"):
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column))
        assert getattr(one, column).dtype == getattr(other, column).dtype


@settings(deadline=None)
@given(rows)
def test_is_read_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, list[float], float]]
) -> None:
    path = tmp_path_factory.mktemp("predictions") / "pred.json"
    grouped = sorted(rows, key=lambda row: row[0])
    table = segments_from_rows(
        ["a", "b", "café"],
        ["Diving", "Shotput"],
        [(video, label, start, end, score) for video, label, (start, end), score in grouped],
    )
    write_predictions(path, table)
    assert_equal(read_predictions(path), table)


def test_is_in_the_format_of_the_activitynet_toolkit(tmp_path: Path) -> None:
    path = tmp_path / "pred.json"
    table = segments_from_rows(["b", "a"], ["Diving"], [(0, 0, 0.5, 1.5, 0.1)])
    write_predictions(path, table)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert set(content) == {"version", "results", "external_data"}
    detection = {"label": "Diving", "score": 0.1, "segment": [0.5, 1.5]}
    assert content["results"] == {"b": [detection], "a": []}


def test_writes_only_what_json_can_hold(tmp_path: Path) -> None:
    table = segments_from_rows(["a"], ["Diving"], [(0, 0, 0.5, 1.5, np.nan)])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_predictions(tmp_path / "pred.json", table)
    assert not list(tmp_path.iterdir())


def test_tolerates_what_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "pred.json"
    late = {"label": "Shotput", "score": "0.25", "segment": ["3", "4.5"], "id": 7}
    early = {"label": "Diving", "score": 1, "segment": [0, 0]}
    path.write_text(json.dumps({"results": {"b": [late, early, early], "a": []}}), encoding="utf-8")
    expected = segments_from_rows(
        ["b", "a"],
        ["Shotput", "Diving"],
        [(0, 0, 3, 4.5, 0.25), (0, 1, 0, 0, 1), (0, 1, 0, 0, 1)],
    )
    assert_equal(read_predictions(path), expected)
    path.write_text('{"results": {}}', encoding="utf-8")
    assert len(read_predictions(path)) == 0


def test_reads_real_predictions(real_data: Path) -> None:
    folder = real_data / "predictions"
    lines: list[str] = []
    table = read_predictions(folder / "thumos14_test.json", strict=True, say=lines.append)
    assert (len(table), len(table.videos), len(table.classes)) == (31_587, 212, 20)
    table = read_predictions(folder / "anet12_validation.json", strict=True, say=lines.append)
    assert (len(table), len(table.videos)) == (14_333, 2301)
    assert lines == []


def write(path: Path, segments: list[Any], video: str = "v") -> Path:
    detections = [{"label": "Diving", "score": 0.5, "segment": segment} for segment in segments]
    path.write_text(json.dumps({"results": {video: detections}}), encoding="utf-8")
    return path


def test_times_out_of_range_are_counted_by_what_becomes_of_them(tmp_path: Path) -> None:
    segments = [[1, 2], [-1e-7, 2], [3, 3 - 1e-7], [-1e-7, -2e-7], [-0.5, 2], [4, 2], [3, "2"]]
    path, lines = write(tmp_path / "pred.json", segments), list[str]()
    table = read_predictions(path, say=lines.append)
    assert table.start.tolist() == [1, 0, 3, 0, -0.5, 4, 3]
    assert table.end.tolist() == [2, 2, 3, 0, 2, 2, 2]
    end = "; correct them, or use --strict to stop at them"
    assert lines == [
        "warning: 3 detections up to 1e-06 s before 0 s or before their start were clipped (first: "
        f"v, detection 1: [-1e-07, 2]){end}",
        "warning: 1 detections that start before 0 s are evaluated as they are (first: v, "
        f"detection 4: [-0.5, 2]){end}",
        "warning: 2 detections that end before they start count as false positives (first: v, "
        f"detection 5: [4, 2]){end}",
    ]


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ([-1, 2], r"segment \[-1, 2\] starts before 0 s"),
        ([3, 2], r"segment \[3, 2\] ends before it starts; wanted \[start, end\] in seconds"),
        ([-1e-9, 2], r"segment \[-1e-09, 2\] starts before 0 s"),
    ],
)
def test_strict_stops_at_the_first(segment: list[float], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "pred.json", [[0, 1], segment])
    with pytest.raises(UserError, match=f"v, detection 1: {message}"):
        read_predictions(path, strict=True)


def test_names_are_composed(tmp_path: Path) -> None:
    path = write(tmp_path / "pred.json", [[0, 1]], unicodedata.normalize("NFD", "Kür"))
    assert read_predictions(path).videos == ("Kür",)
    both: dict[str, Any] = {"Kür": [], unicodedata.normalize("NFD", "Kür"): []}
    path.write_text(json.dumps({"results": both}), encoding="utf-8")
    with pytest.raises(UserError, match="has the video 'Kür' 2 times"):
        read_predictions(path)


FRAME = pd.DataFrame(
    {
        "video-id": ["a", "b", "a"],
        "t-start": [0.5, 1, 2],
        "t-end": [1.5, 2, 3],
        "label": ["Diving", "Diving", "Shotput"],
        "score": np.array([0.5, 0.25, 0.125], np.float32),
    }
)


@pytest.mark.parametrize(
    ("name", "save", "kind"),
    [
        ("p.npz", lambda path: np.savez(path, a=1), "a zip archive, such as .npz, .pth or .xlsx"),
        ("p.npy", lambda path: np.save(path, [1]), "a NumPy array (.npy)"),
        ("p.json", lambda path: path.write_text('{"a": 1}\n{"a": 2}\n'), "JSON lines"),
    ],
)
def test_other_formats_are_named(name: str, save: Any, kind: str, tmp_path: Path) -> None:
    save(tmp_path / name)
    with pytest.raises(UserError) as caught:
        read_predictions(tmp_path / name)
    text = str(caught.value)
    assert f"prediction file {tmp_path / name} is {kind}" in text
    assert "not JSON; wanted ActivityNet JSON, CSV with a header, or the text of the TH" in text


@pytest.mark.parametrize(
    "save",
    [
        FRAME.to_pickle,
        lambda path: Path(path).write_bytes(pickle.dumps({}, 0)),
        lambda path: Path(path).write_bytes(pickle.dumps({}, 2)),
    ],
)
@pytest.mark.parametrize("name", ["p.pkl", "p.json"])
def test_a_pickle_is_not_read_but_its_conversion_is_shown(
    name: str, save: Any, tmp_path: Path
) -> None:
    path = tmp_path / name
    save(path)
    with pytest.raises(UserError) as caught:
        read_predictions(path)
    text = str(caught.value)
    assert text.startswith(f"prediction file {path} is a pickle, which is not read because")
    assert "\n" not in text
    if save == FRAME.to_pickle:
        exec(text.partition("convert it: ")[2], {})
        lines = list[str]()
        table = read_predictions(path.with_suffix(".csv"), say=lines.append)
        assert_frame(table)
        assert lines == [
            f"prediction file {path.with_suffix('.csv')}: CSV (comma), columns video-id, label, "
            "t-start, t-end, score"
        ]


def assert_frame(table: Segments) -> None:
    """Checks that the table has the rows of `FRAME`."""
    found = zip(table.video, table.label, table.start, table.end, table.score, strict=True)
    assert [(table.videos[v], table.classes[c], s, e, p) for v, c, s, e, p in found] == [
        ("a", "Diving", 0.5, 1.5, 0.5),
        ("b", "Diving", 1, 2, 0.25),
        ("a", "Shotput", 2, 3, 0.125),
    ]


def test_the_conversion_of_a_pickle_in_the_docs_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = (Path(__file__).parents[1] / "docs" / "FORMATS.md").read_text(encoding="utf-8")
    code = docs.partition("```python\n")[2].partition("```")[0]
    assert "read_pickle" in code
    assert len([line for line in code.splitlines() if line]) == 2
    monkeypatch.chdir(tmp_path)
    FRAME.to_pickle("predictions.pkl")
    exec(code, {})
    assert_frame(read_predictions(Path("predictions.csv")))


def changed(**change: Any) -> str:
    detection = {"label": "Diving", "score": 0.5, "segment": [1, 2]} | change
    kept = {key: value for key, value in detection.items() if value is not ...}
    return json.dumps({"results": {"v": [kept]}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not valid JSON: Expecting value at line 1, column 1"),
        ('{"results": {"v"', "is not valid JSON: Expecting ':' delimiter at line 1, column 17"),
        ('{"database": {}}', 'has no "results" object at its top; wanted {"results": {video: '),
        ("[]", 'has no "results" object at its top'),
        ('{"results": []}', 'has no "results" object at its top'),
        ('{"results": {"v": null}}', "v: wanted a list, found NoneType"),
        ('{"results": {"v": {"label": "Diving"}}}', "v: wanted a list, found dict"),
        ('{"results": {"v": [5]}}', "v, detection 0: wanted an object with label, score and"),
        (changed(label=...), "label is missing; wanted label, score and segment"),
        (changed(score=...), "score is missing"),
        (changed(segment=...), "segment is missing"),
        (changed(label=5), "label 5 is not a class name; --class_names FILE names the classes of"),
        (changed(label=""), "label '' is not a class name"),
        (changed(segment="1-2"), "segment '1-2' is not [start, end] in seconds"),
        (changed(segment=[1]), "segment [1] is not [start, end] in seconds"),
        (changed(segment=[1, "late"]), "segment end 'late' is not a finite number"),
        (changed(segment=[None, 2]), "segment start None is not a finite number"),
        (changed(segment=[1, float("nan")]), "segment end nan is not a finite number"),
        (changed(score=float("nan")), "score nan is not a finite number"),
        (changed(score=float("inf")), "score inf is not a finite number"),
        (changed(score="nan"), "score 'nan' is not a finite number"),
        (changed(score=10**400), "score 100000000"),
        (changed(score="high"), "score 'high' is not a finite number"),
        (changed(score=True), "score True is not a finite number"),
        (changed(score=None), "score None is not a finite number"),
        ('{"results": {"v": [], "w": [], "v": []}}', "has the key 'v' 2 times in one object"),
    ],
)
def test_bad_files_are_one_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pred.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_predictions(path)
    text = str(caught.value)
    assert text.startswith(f"prediction file {path}")
    assert message in text
    assert "\n" not in text
