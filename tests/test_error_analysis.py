"""Error analysis: one hand-made case of each kind, and the reference implementation."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.detection.average_precision import detection_map
from eval.detection.error_analysis import BEST, KINDS, analyze_errors
from eval.detection.plain_values import plain_values
from eval.detection.tables import error_text
from eval.segments import Segments, segments_from_rows
from tests import reference_map as reference
from utils.errors import UserError

CLASSES = ("Diving", "CliffDiving", "Shotput")


def table(rows: list[tuple[int, int, float, float, float]]) -> Segments:
    return segments_from_rows(["v0", "v1", "v2"], CLASSES, rows)


row = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.integers(0, 8), st.integers(0, 4), st.integers(0, 3)
).map(lambda r: (r[0], r[1], r[2] / 2, (r[2] + r[3]) / 2, r[4] / 4))


@settings(deadline=None, max_examples=100)
@given(st.lists(row, max_size=8).map(table), st.lists(row, max_size=40).map(table))
def test_equals_the_reference(truth: Segments, predictions: Segments) -> None:
    result = analyze_errors(truth, predictions, 0.5, background_tiou=0.2, number_edges=[1, 2])
    errors, missed = reference.count_errors(
        reference.frame(truth), reference.frame(predictions), 0.5, 0.2
    )
    for k, counts in enumerate(errors):
        assert result.errors[k].tolist() == [counts.get(kind, 0) for kind in KINDS]
    for ranges in (result.missed_by_length, result.missed_by_number):
        assert ranges.missed.sum() == len(missed)
        assert ranges.instances.sum() == len(truth)


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
    result = analyze_errors(*one_of_each())
    # Two instances of the class: two more detections in each row.
    assert result.errors[:4].tolist() == [
        [1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 2],
        [1, 1, 1, 1, 2],
    ]
    errors = plain_values(detection_map(*one_of_each()), result)["errors"]
    assert list(errors["best"]) == list(BEST)
    assert errors["missed_by_length"]["up to 3 s"] == {"instances": 1, "missed": 1}
    assert errors["missed_by_length"]["over 6 to 12 s"] == {"instances": 2, "missed": 1}
    assert errors["missed_by_number"]["up to 1"] == {"instances": 1, "missed": 1}
    assert errors["missed_by_number"]["over 1 to 40"] == {"instances": 2, "missed": 1}


def test_only_the_best_ten_times_as_many_count() -> None:
    truth = table([(0, 0, 0, 10, 1)])
    late = table([*[(1, 0, 0, 1, 0.9)] * 10, (0, 0, 0, 10, 0.1)])
    result = analyze_errors(truth, late)
    assert result.errors[BEST.index("10G")].tolist() == [0, 0, 0, 0, 10]
    assert result.missed_by_number.missed.sum() == 1


def test_text_shows_percentages_and_empty_ranges() -> None:
    values = plain_values(detection_map(*one_of_each()), analyze_errors(*one_of_each()))
    lines = error_text(values["errors"]).splitlines()
    assert lines[0].startswith("Error analysis (DETAD) at tIoU 0.5")
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
        analyze_errors(*one_of_each(), **change)
