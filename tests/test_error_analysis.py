"""The breakdown of errors: one hand-made case of each kind, and the slow twin."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.detection.error_analysis import KINDS, error_breakdown
from eval.detection.tables import breakdown_text
from eval.segments import Segments, segments_from_rows
from tests import reference_map as twin
from utils.errors import UserError

CLASSES = ("Diving", "CliffDiving", "Shotput")


def table(rows: list[tuple[int, int, float, float, float]]) -> Segments:
    return segments_from_rows(["v0", "v1", "v2"], CLASSES, rows)


row = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.integers(0, 8), st.integers(0, 4), st.integers(0, 3)
).map(lambda r: (r[0], r[1], r[2] / 2, (r[2] + r[3]) / 2, r[4] / 4))


@settings(deadline=None, max_examples=100)
@given(st.lists(row, max_size=8).map(table), st.lists(row, max_size=40).map(table))
def test_equals_the_twin(truth: Segments, predictions: Segments) -> None:
    result = error_breakdown(truth, predictions, 0.5, background_tiou=0.2, number_edges=[1, 2])
    errors, missed = twin.breakdown(twin.frame(truth), twin.frame(predictions), 0.5, 0.2)
    for k, counts in enumerate(errors):
        assert result.errors.iloc[k].to_dict() == {kind: counts.get(kind, 0) for kind in KINDS}
    for tables in (result.missed_by_length, result.missed_by_number):
        assert tables["missed"].sum() == len(missed)
        assert tables["instances"].sum() == len(truth)


def one_of_each() -> tuple[Segments, Segments]:
    truth = table([(0, 0, 0, 10, 1), (0, 1, 20, 30, 1), (0, 0, 40, 42, 1)])
    predictions = segments_from_rows(
        ["v0", "elsewhere"],
        CLASSES,
        [
            (0, 0, 0, 9, 0.9),  # finds the first instance
            (0, 0, 0, 8, 0.8),  # duplicate
            (0, 0, 5, 15, 0.7),  # localization
            (0, 0, 20, 30, 0.6),  # wrong class
            (0, 0, 60, 70, 0.5),  # background
            (1, 0, 0, 10, 0.4),  # background: an unknown video
            (0, 2, 0, 10, 1.0),  # a class without instances has no best detections
        ],
    )
    return truth, predictions


def test_one_of_each_kind() -> None:
    result = error_breakdown(*one_of_each())
    assert list(result.errors.columns) == list(KINDS)
    # Two instances of the class: two detections more with each row.
    assert result.errors.to_numpy()[:4].tolist() == [
        [1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 2],
        [1, 1, 1, 1, 2],
    ]
    assert list(result.missed_by_length.loc["up to 3 s"]) == [1, 1]
    assert list(result.missed_by_length.loc["over 6 to 12 s"]) == [2, 1]
    assert list(result.missed_by_number.loc["up to 1"]) == [1, 1]
    assert list(result.missed_by_number.loc["over 1 to 40"]) == [2, 1]


def test_only_the_best_ten_times_as_many_count() -> None:
    truth = table([(0, 0, 0, 10, 1)])
    late = table([*[(1, 0, 0, 1, 0.9)] * 10, (0, 0, 0, 10, 0.1)])
    result = error_breakdown(truth, late)
    assert list(result.errors.loc["10G"]) == [0, 0, 0, 0, 10]
    assert result.missed_by_number["missed"].sum() == 1


def test_text_shows_shares_and_empty_ranges() -> None:
    lines = breakdown_text(error_breakdown(*one_of_each())).splitlines()
    assert lines[0].startswith("Errors at tIoU 0.5")
    assert lines[2].split() == ["1G", "50.0", "50.0", "0.0", "0.0", "0.0", "2"]
    assert any(line.split() == ["over", "18", "s", "0", "0", "-"] for line in lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tiou": 1.5}, r"error tIoU 1.5 and background tIoU 0.1 do not fit together"),
        ({"background_tiou": 0.5}, "wanted 0 < background < error <= 1"),
        ({"background_tiou": 0.0}, "background tIoU 0 do not fit"),
        ({"length_edges": [6, 3]}, r"edges for length are \[6, 3\]; wanted ascending numbers"),
        ({"number_edges": []}, r"edges for instances in the video are \[\]"),
        ({"length_edges": [3, float("inf")]}, "wanted ascending numbers"),
    ],
)
def test_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        error_breakdown(*one_of_each(), **change)
