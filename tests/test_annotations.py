"""Annotation files: the forms of the field, numbers as strings, invalid segments, names, labels."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from dataset.annotations import read_database
from dataset.labels import LabelReader
from dataset.text_files import read_split
from dataset.videos import Segment, Video
from utils.errors import UserError
from utils.files import read_json

DIVING = {"segment": [1, 4.5], "label": "Diving"}


def write(folder: Path, content: Any) -> Path:
    path = folder / "gt.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def read(folder: Path, content: Any, **options: Any) -> tuple[dict[str, Video], list[str]]:
    """The videos of an annotation file with this content, and the lines about it."""
    lines: list[str] = []
    return read_database(write(folder, content), say=lines.append, **options), lines


def one(folder: Path, entry: dict[str, Any], **options: Any) -> tuple[Video, list[str]]:
    """The same for a file with one video."""
    videos, lines = read(folder, {"database": {"v": {"subset": "test", **entry}}}, **options)
    return videos["v"], lines


EXPECTED = {"a": Video("a", "", 9.5, (Segment(1.0, 4.5, "Diving"), Segment(5.0, 6.0, "Shotput")))}
TWO = [DIVING, {"segment": [5, 6], "label": "Shotput"}]
FLAT = {"segments": [[1, 4.5], [5, 6]], "labels": ["Diving", "Shotput"], "duration": 9.5}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"database": {"a": {"duration": 9.5, "annotations": TWO}}}, ""),
        ({"database": {"a": {"duration": "9.5", "annotations": TWO}}, "version": 1}, ""),
        (
            {"a": {"duration_second": 9.5, "duration_frame": 285, "annotations": TWO}},
            '{video: {"duration_second", "annotations"}} without "database"',
        ),
        ({"a": FLAT}, '{video: {"duration", "segments", "labels"}} without "database"'),
        ({"database": {"a": FLAT}}, '{video: {"duration", "segments", "labels"}}'),
    ],
)
def test_forms_of_the_field(content: Any, said: str, tmp_path: Path) -> None:
    videos, lines = read(tmp_path, content)
    assert videos == EXPECTED
    expected = f"annotation file {tmp_path / 'gt.json'}: read as {said}"
    assert lines == ([expected] if said else [])


@pytest.mark.parametrize("content", ["[]", "{}", '{"database": []}', '{"results": {"a": []}}'])
def test_other_structures_are_errors(content: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no "database" object at the top level; wanted'):
        read(tmp_path, content)


def test_numbers_as_strings_are_numbers(tmp_path: Path) -> None:
    numbers, _ = one(tmp_path, {"duration": 30.5, "annotations": [DIVING]})
    item = {"segment": ["1", " 4.5"], "label": "Diving"}
    assert one(tmp_path, {"duration": "30.5", "annotations": [item]}) == (numbers, [])


def test_class_beside_a_numeric_label_is_the_name(tmp_path: Path) -> None:
    item = {"class": "Diving", "label": 7, "segment": [1, 2]}
    video, lines = one(tmp_path, {"annotations": [item]})
    assert video.labels == ("Diving",)
    assert lines == [f'annotation file {tmp_path / "gt.json"}: the class names are in "class"']
    video, lines = one(tmp_path, {"annotations": [{**item, "label": "Jump"}]})
    assert (video.labels, lines) == (("Jump",), [])


INVALID = {
    "ends before it starts": [66.5, 63.2],
    "lies before the start of the video": [-1.0, -1.0],
    "starts before 0 s": [-3, 5],
    "is not [start, end] in seconds": [None, None],
    "is not [start, end] in seconds ": [float("nan"), 1],
    "is not [start, end] in seconds  ": "1-2",
    "is not [start, end] in seconds   ": [1],
}


@pytest.mark.parametrize("flaw", list(INVALID))
def test_an_invalid_segment_keeps_its_label_and_says_its_flaw(flaw: str, tmp_path: Path) -> None:
    items = [DIVING, {"segment": INVALID[flaw], "label": "Shotput"}]
    video, lines = one(tmp_path, {"annotations": items})
    assert video.labels == ("Diving", "Shotput")
    assert lines == []  # said where it matters, in the evaluation
    good, bad = video.segments
    assert good == Segment(1.0, 4.5, "Diving")
    assert bad.flaw.startswith("v, annotation 1: segment ")
    assert bad.flaw.endswith(flaw.strip())
    assert bad.can_be_found == flaw.startswith("starts")
    with pytest.raises(UserError, match="v, annotation 1: segment") as caught:
        one(tmp_path, {"annotations": items}, strict=True)
    assert flaw.strip() in str(caught.value)


def test_rounding_is_no_flaw(tmp_path: Path) -> None:
    items = [{"segment": [-1e-9, 2], "label": "a"}, {"segment": [3, 3 - 5e-7], "label": "a"}]
    video, _ = one(tmp_path, {"annotations": items}, strict=True)
    assert video.segments == (Segment(0.0, 2.0, "a"), Segment(3.0, 3.0, "a"))


def test_an_invalid_duration_is_unknown(tmp_path: Path) -> None:
    for duration in (-1, 0, "long", float("inf")):
        video, lines = one(tmp_path, {"duration": duration, "annotations": [DIVING]})
        assert video.duration is None
        assert lines[0].startswith("warning: 1 invalid durations count as unknown (first: v: dura")
        with pytest.raises(UserError, match="is not a positive number of seconds"):
            one(tmp_path, {"duration": duration}, strict=True)


def test_frame_numbers_are_recognized(tmp_path: Path) -> None:
    late = [{"segment": [100 * i, 100 * i + 80], "label": "a"} for i in range(1, 4)]
    _, lines = one(tmp_path, {"duration": 30, "annotations": [DIVING, *late]})
    assert lines == [
        "warning: 3 of 4 annotated segments end after their video (first: v, [100, 180] of 30 s): "
        "they look like frame numbers; divide them by the frame rate of the videos, as times must "
        "be in seconds"
    ]
    assert one(tmp_path, {"duration": 300, "annotations": [DIVING, *late]})[1] == []


def test_names_are_composed(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Kür")
    content = {"database": {decomposed: {"annotations": [{"label": decomposed}]}}}
    videos, _ = read(tmp_path, content)
    assert videos == {"Kür": Video("Kür", "", None, (), ("Kür",))}
    both: Any = {"database": {decomposed: {"annotations": []}, "Kür": {"annotations": []}}}
    with pytest.raises(UserError, match="has the video 'Kür' 2 times"):
        read(tmp_path, both)
    (tmp_path / "list.txt").write_text(f"{decomposed}\n", encoding="utf-8")
    assert read_split(tmp_path / "list.txt") == ["Kür"]


def test_duplicate_keys_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, '{"database": {"a": {"annotations": []}, "b": {}, "a": {}}}')
    with pytest.raises(UserError, match=f"annotation file {path} has the key 'a' 2 times in one"):
        read_database(path)
    deep = write(tmp_path, '{"x": [{"y": {"z": 1, "z": 2, "z": 3}}]}')
    with pytest.raises(UserError, match="the key 'z' 3 times"):
        read_json(deep, "some")


def test_ignored_labels_are_left_out(tmp_path: Path) -> None:
    items = [DIVING, {"segment": [5, 6], "label": "Ambiguous"}, {"label": "Ambiguous"}]
    reader = LabelReader(ignored=["Ambiguous"])
    video, lines = one(tmp_path, {"annotations": items}, labels=reader)
    assert video.labels == ("Diving",)
    assert lines == ["annotations ignored: 2 with the label Ambiguous (--ignore_labels)"]


def test_two_spellings_in_one_file_are_two_classes_with_a_warning(tmp_path: Path) -> None:
    items = [{"label": "Cliff Diving"}, {"label": "cliff_diving"}]
    video, lines = one(tmp_path, {"annotations": items})
    assert video.labels == ("Cliff Diving", "cliff_diving")
    assert lines[0].startswith("warning: read as two classes: label 'cliff_diving' of the annot")
    video, lines = one(tmp_path, {"annotations": items}, labels=LabelReader(similar=True))
    assert (video.labels, lines) == (("Cliff Diving",), [])


def test_all_problems_are_listed_together(tmp_path: Path) -> None:
    entries = {
        "a": 5,
        "b": {"annotations": [5, {"label": None}, {"label": 3, "segment": [0, 1]}], "subset": 3},
        "c": {"segments": [[0, 1]], "labels": []},
        "d": {"segments": [[0, 1]], "labels": 1},
        "e": {"annotations": {}},
    }
    with pytest.raises(UserError) as caught:
        read(tmp_path, {"database": entries})
    for line in (
        "8 problems",
        "a: wanted an object with duration, subset and annotations",
        "b: subset 3 is not a valid name",
        "b, annotation 0: wanted an object with label and segment",
        "b, annotation 1: label None is not a class name",
        "b, annotation 2: label 3 is not a class name; --class_names FILE names the classes",
        "c: 1 segments, but 0 labels; wanted one label per segment",
        "d: segments and labels are not two lists",
        "e: annotations is not a list",
    ):
        assert line in str(caught.value)


@pytest.mark.parametrize(
    ("file", "videos", "segments"),
    [
        ("activitynet/activitynet_v1-2.json", 9682, 10733),
        ("activitynet/activitynet_v1-3.json", 19228, 22152),
        ("thumos14_derived/gt.json", 412, 6365),
    ],
)
def test_real_files_are_read_without_a_remark(
    file: str, videos: int, segments: int, real_data: Path
) -> None:
    lines: list[str] = []
    database = read_database(real_data / file, strict=True, say=lines.append)
    assert lines == []
    assert len(database) == videos
    assert sum(len(video.segments) for video in database.values()) == segments
