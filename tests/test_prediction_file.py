"""The prediction file: read back bit for bit, tolerant, one line about a bad file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
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
    late = {"label": "Shotput", "score": "0.25", "segment": [3, 4.5], "id": 7}
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
    table = read_predictions(real_data / "predictions" / "thumos14_test.json")
    assert (len(table), len(table.videos), len(table.classes)) == (31_587, 212, 20)


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
        (changed(label=5), "label 5 is not a class name"),
        (changed(label=""), "label '' is not a class name"),
        (changed(segment="1-2"), "segment '1-2' is not [start, end] in seconds"),
        (changed(segment=[1]), "segment [1] is not [start, end] in seconds"),
        (changed(segment=[1, "2"]), "segment end '2' is not a number"),
        (changed(segment=[None, 2]), "segment start None is not a number"),
        (changed(segment=[1, float("nan")]), "segment end nan is not finite"),
        (changed(segment=[-1, 2]), "segment [-1, 2] starts before 0 s"),
        (changed(segment=[3, 2]), "segment [3, 2] ends before it starts"),
        (changed(score=float("nan")), "score nan is not finite"),
        (changed(score=float("inf")), "score inf is not finite"),
        (changed(score="nan"), "score nan is not finite"),
        (changed(score=10**400), "score inf is not finite"),
        (changed(score="high"), "score 'high' is not a number"),
        (changed(score=True), "score True is not a number"),
        (changed(score=None), "score None is not a number"),
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
