"""Averages of the mAP over tIoU: each has the name of the thresholds over which it was taken."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from config.datasets import DATASETS, THUMOS14, DatasetSpec
from dataset.annotations import read_database
from eval.detection.average_precision import average_name, detection_map
from eval.detection.options import parse_tiou
from eval.detection.prediction_file import read_predictions
from eval.detection.selection import select
from eval.detection.tables import map_table
from eval.evaluator import Evaluation
from eval.segments import segments_from_rows
from record.summary import as_text, summary

CLASSES = ("Diving", "CliffDiving", "Shotput")
# One instance, found with tIoU 0.65: mAP 100 up to there, 0 above.
TRUTH = segments_from_rows(["v0"], CLASSES, [(0, 0, 0, 10, 1)])
FOUND = segments_from_rows(["v0"], CLASSES, [(0, 0, 0, 6.5, 1)])


def averages(*words: str) -> dict[str, float]:
    """The averages over the thresholds that are written as on the command line."""
    return detection_map(TRUTH, FOUND, parse_tiou(words)).averages()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["0.1:0.9:0.1"], {".1-.5": 100, ".3-.7": 80, ".1-.7": 600 / 7, ".1-.9": 600 / 9}),
        (["0.1:0.7:0.1"], {".1-.5": 100, ".3-.7": 80, ".1-.7": 600 / 7}),
        (["0.1:0.5:0.1"], {".1-.5": 100}),
        (["0.3:0.7:0.1"], {".3-.7": 80}),
        (["0.5:0.95:0.05"], {".5-.95": 40}),
        # Further thresholds do not matter.
        (["0.3:0.7:0.1", "0.75"], {".3-.7": 80}),
        (["0.3:0.7:0.1", "0.35", "0.95"], {".3-.7": 80}),
        (["0.3:0.7:0.1", "0.5:0.95:0.05"], {".3-.7": 80, ".5-.95": 40}),
    ],
)
def test_customary_averages(words: list[str], expected: dict[str, float]) -> None:
    found = averages(*words)
    assert found == pytest.approx(expected)
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["0.5", "0.75", "0.95"], "mean of .5 .75 .95", 100 / 3),  # ActivityNet's table
        (["0.5"], "mean of .5", 100),
        (["1"], "mean of 1", 0),
        (["0.1", "0.7"], "mean of .1 .7", 50),  # the ends of a customary average
        (["0.3", "0.4", "0.6", "0.7"], "mean of .3 .4 .6 .7", 75),
        (["0.1:0.9:0.2"], "mean of .1 .3 .5 .7 .9", 60),
        (["0.4:0.9:0.01"], "mean of .4 to .9 by .01", 2600 / 51),
        (["0.35:0.95:0.1", "0.5"], "mean of 8 thresholds from .35 to .95", 500 / 8),
    ],
)
def test_other_averages_are_named_after_their_thresholds(
    words: list[str], name: str, value: float
) -> None:
    assert averages(*words) == pytest.approx({name: value})


def test_the_order_of_the_thresholds_does_not_matter() -> None:
    tiou = list(THUMOS14.tiou)
    forward, backward = (detection_map(TRUTH, FOUND, t) for t in (tiou, tiou[::-1]))
    assert forward.averages() == pytest.approx(backward.averages())


def test_averages_of_each_class() -> None:
    truth = segments_from_rows(["v0", "v1"], CLASSES, [(0, 0, 0, 10, 1), (1, 1, 0, 1, 1)])
    for tiou in (THUMOS14.tiou, (0.5, 0.75)):
        result = detection_map(truth, FOUND, tiou)
        for name, value in result.averages().items():
            of_classes = result.class_averages(name)
            np.testing.assert_allclose(np.nanmean(of_classes), value, rtol=1e-12)
            assert np.isnan(of_classes).tolist() == [False, False, True]


@pytest.mark.parametrize("spec", DATASETS.values(), ids=lambda spec: spec.name)
def test_the_thresholds_of_a_data_set_give_its_main_average(spec: DatasetSpec) -> None:
    result = detection_map(TRUTH, FOUND, spec.tiou)
    assert average_name(*spec.main_average) in result.averages()


def evaluation(tiou: Sequence[float]) -> Evaluation:
    return Evaluation(FOUND, detection_map(TRUTH, FOUND, tiou), 1.0, THUMOS14.main_average)


def test_main_metric_and_names_in_logs() -> None:
    usual = evaluation(THUMOS14.tiou)
    assert usual.main_metric() == (".1-.7", pytest.approx(600 / 7))
    assert usual.metrics()["average .1-.7"] == pytest.approx(600 / 7)
    other = evaluation([0.5, 0.75, 0.95])
    assert other.main_metric() == ("mean of .5 .75 .95", pytest.approx(100 / 3))
    assert other.metrics()["average .5 .75 .95"] == pytest.approx(100 / 3)
    assert not any("-" in name for name in other.metrics() if name.startswith("average"))
    assert other.text().splitlines()[2] == "average mAP %   mean of .5 .75 .95: 33.33"


def test_runs_with_other_thresholds_are_compared(tmp_path: Path) -> None:
    for number, tiou in enumerate(([0.5, 0.75, 0.95], [0.7, 0.1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"dataset": "THUMOS"}))
        line = {"epoch": 1, **evaluation(tiou).metrics()}
        (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    table = summary({name: tmp_path / name for name in ("0", "1")})
    assert table["best"].tolist() == pytest.approx([100 / 3, 50])
    assert table["average .5 .75 .95"].isna().tolist() == [False, True]
    assert "avg .5 .75 .95" in as_text(table)


def test_published_average_of_activitynet(real_data: Path) -> None:
    database = read_database(real_data / "activitynet" / "activitynet_v1-2.json")
    folder = real_data / "predictions"
    predictions = read_predictions(folder / "anet12_validation.json")
    videos = str(folder / "anet12_validation_videos.txt")
    chosen = select(database, predictions, "validation", videos)
    texts = {}
    for word in ("0.5 0.75 0.95", "0.5:0.95:0.05"):
        result = detection_map(chosen.truth, chosen.predictions, parse_tiou(word.split()))
        texts[word] = map_table(result).splitlines()[-1]
    assert texts == {
        "0.5 0.75 0.95": "average mAP %   mean of .5 .75 .95: 22.23",
        "0.5:0.95:0.05": "average mAP %   .5-.95: 23.22",
    }
