"""Mistakes in the data directory."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.bad_inputs.case import (
    DETECTION,
    TEST,
    TESTED,
    TRAINED,
    BadInput,
    cut,
    edit,
    folder_instead,
    put,
)

GT, TRAIN_LIST, TEST_LIST = "data/gt.json", "data/split_train.txt", "data/split_test.txt"
NAME, TEST_NAME = "video_train_0000000", "video_test_0000002"
FEATURES = f"data/train/{NAME}.npy"
Evaluated = partial(BadInput, program=DETECTION, warning=True)
Trained = partial(BadInput, warning=True, leaves=TRAINED)


def entry(change: Callable[[dict[str, Any]], object]) -> Callable[[], object]:
    """Changes the entry of one training video in gt.json."""
    return edit(GT, lambda content: change(content["database"][NAME]))


def annotation(**values: Any) -> Callable[[], object]:
    """Changes the first annotation of that video."""
    return entry(lambda video: video["annotations"][0].update(values))


def features(change: Callable[[Any], Any]) -> Callable[[], object]:
    """Changes the array of its features."""
    return lambda: np.save(FEATURES, change(np.load(FEATURES)))


def value(number: float) -> Callable[[], object]:
    """Sets a value of its snippet 5."""

    def change(array: Any) -> Any:
        array[5, 3] = number
        return array

    return features(change)


def more(path: str, line: str) -> Callable[[], object]:
    """Appends a line to a split file."""
    return lambda: Path(path).write_text(Path(path).read_text() + line + "\n")


def keep(count: int) -> Callable[[], object]:
    """Keeps only the first training videos."""
    return lambda: Path(TRAIN_LIST).write_text(
        "\n".join(Path(TRAIN_LIST).read_text().split()[:count])
    )


def without_test_split() -> None:
    Path(TEST_LIST).unlink()
    for file in Path("data/test").glob("*.npy"):
        file.unlink()


def link_out() -> None:
    Path(FEATURES).rename("outside.npy")
    Path(FEATURES).symlink_to(Path("outside.npy").absolute())


def pickled() -> None:
    np.save(FEATURES, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def archive() -> None:
    np.savez("a.npz", features=np.ones((3, 16)))
    os.replace("a.npz", FEATURES)


def header(shape: str) -> Callable[[], object]:
    """An array file whose header promises more data than the file has."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return put(FEATURES, b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64))


def same_label(content: Any) -> None:
    for video in content["database"].values():
        video["annotations"] = [{"segment": [0, 1], "label": "Diving"}]


def invalid_test_segment(content: Any) -> None:
    content["database"][TEST_NAME]["annotations"][0]["segment"] = [5, 4]


def in_frames(content: Any) -> None:
    for video in content["database"].values():
        for item in video["annotations"]:
            item["segment"] = [25 * time for time in item["segment"]]


def all_features(change: Callable[[Any], Any]) -> Callable[[], object]:
    """Changes the arrays of all feature files."""

    def apply() -> None:
        for path in Path("data").glob("*/*.npy"):
            np.save(path, change(np.load(path)))

    return apply


def at_30_frames_per_second(content: Any) -> None:
    for video in content["database"].values():
        video["duration"] *= 25 / 30


def no_test_annotations(content: Any) -> None:
    for video in content["database"].values():
        video["annotations"] *= video["subset"] == "train"


def without_a_segment(content: Any) -> None:
    del content["database"][TEST_NAME]["annotations"][0]["segment"]


DIRECTORY = [
    BadInput("missing", "--data_dir nowhere"),
    BadInput("a file instead of a directory", "--data_dir good.pth"),
    BadInput("gt.json missing", spoil=Path(GT).unlink),
    BadInput("split_test.txt missing, and no features of the subset", spoil=without_test_split),
    BadInput("features of a video missing", spoil=Path(FEATURES).unlink),
    BadInput("folder test missing", spoil=lambda: shutil.rmtree("data/test")),
    BadInput(
        "several mistakes at once", spoil=lambda: (cut(FEATURES, 9)(), more(TEST_LIST, "new")())
    ),
]

SPLITS = [
    BadInput("empty", spoil=put(TEST_LIST, "\n \n")),
    BadInput("a folder instead of a file", spoil=folder_instead(TRAIN_LIST)),
    BadInput("not UTF-8", spoil=put(TRAIN_LIST, b"video_\xff\n")),
    BadInput("a duplicate name", spoil=more(TRAIN_LIST, NAME)),
    BadInput("a name in both splits", spoil=more(TEST_LIST, NAME)),
    BadInput(
        "a test video in split_train.txt (`--test`)",
        TEST,
        spoil=more(TRAIN_LIST, TEST_NAME),
        warning=True,
        leaves=TESTED,
    ),
    BadInput("a name that is not in gt.json", spoil=edit(GT, lambda c: c["database"].pop(NAME))),
    BadInput("a name that leads out of the data directory", spoil=more(TRAIN_LIST, "../gt")),
    BadInput("an absolute path", spoil=more(TRAIN_LIST, "/etc/passwd")),
    BadInput("a Windows path", spoil=more(TRAIN_LIST, "C:\\secret")),
    BadInput("a control character", spoil=more(TRAIN_LIST, "video\x1b[2J")),
    BadInput("no two videos with the same labels (`--ftcl`)", "--ftcl", spoil=keep(2)),
    BadInput(
        "no two videos without a common label (`--ftcl`)", "--ftcl", spoil=edit(GT, same_label)
    ),
]

ANNOTATIONS = [
    BadInput("empty", spoil=put(GT)),
    BadInput("truncated", spoil=cut(GT, 20)),
    BadInput("not UTF-8", spoil=put(GT, b"\xff\xfe")),
    BadInput("a folder instead of a file", spoil=folder_instead(GT)),
    BadInput("another structure", spoil=put(GT, "[]")),
    BadInput("no video", spoil=put(GT, '{"database": {}}')),
    BadInput("nested too deeply", spoil=put(GT, "[" * 100_000)),
    BadInput("a number with 5,000 digits", spoil=put(GT, f'{{"database": {"9" * 5000}}}')),
    BadInput(
        "an entry that is not an object", spoil=edit(GT, lambda c: c["database"].update({NAME: 5}))
    ),
    BadInput("an unknown label", spoil=annotation(label="Chess")),
    BadInput("a label that is null", spoil=annotation(label=None)),
    BadInput("a label with control characters", spoil=annotation(label="a\x1b[2J")),
    BadInput("a label that is not valid Unicode", spoil=annotation(label="\ud800")),
    BadInput(
        "a video name with control characters",
        spoil=edit(GT, lambda c: c["database"].update({"a\nb": {}})),
    ),
    BadInput("a training video without a label", spoil=entry(lambda v: v.update(annotations=[]))),
    BadInput("annotations that are not a list", spoil=entry(lambda v: v.update(annotations={}))),
    BadInput("an annotation without a segment in a test video", spoil=edit(GT, without_a_segment)),
    BadInput("a label that is a number", spoil=annotation(label=3)),
    BadInput("a label in another spelling", spoil=annotation(label="baseball_pitch")),
    BadInput("a video twice", spoil=put(GT, '{"database": {"a": {}, "b": {}, "a": {}}}')),
    Evaluated("a segment that ends before it starts", spoil=annotation(segment=[5, 4])),
    Evaluated("a segment before the start of the video", spoil=annotation(segment=[-1, -1])),
    Evaluated("NaN as a time", spoil=annotation(segment=[0, float("nan")])),
    Evaluated("a time too large for a number", spoil=annotation(segment=[0, 10**400])),
    Evaluated(
        "a segment of a test video that ends before it starts",
        spoil=edit(GT, invalid_test_segment),
    ),
    BadInput(
        "a segment that ends before it starts (`--strict`)",
        "--strict",
        spoil=annotation(segment=[5, 4]),
    ),
    Evaluated("times in frames", spoil=edit(GT, in_frames)),
    Evaluated("a negative duration", spoil=entry(lambda v: v.update(duration=-1))),
    BadInput(
        "a negative duration (`--strict`)", "--strict", spoil=entry(lambda v: v.update(duration=-1))
    ),
    BadInput(
        "no duration (`--snippet_timing duration`)",
        "--snippet_timing duration",
        spoil=edit(GT, lambda c: c["database"][TEST_NAME].pop("duration")),
    ),
    Trained("no annotation in any test video", spoil=edit(GT, no_test_annotations)),
    BadInput("a subset that is not a name", spoil=entry(lambda v: v.update(subset=3))),
]

FEATURE_FILES = [
    BadInput("empty", spoil=put(FEATURES)),
    BadInput("shape (1, snippets, channels)", spoil=features(lambda x: x[None])),
    BadInput("10 crops", spoil=features(lambda x: np.stack([x] * 10, axis=1))),
    BadInput("`--layout joint` without such a file", "--layout joint"),
    BadInput("truncated", spoil=cut(FEATURES, 100)),
    BadInput("a text file", spoil=put(FEATURES, "no numbers")),
    BadInput("Python objects, whose loading could execute code", spoil=pickled),
    BadInput("a header that claims terabytes of data", spoil=header("(1000000000000, 16)")),
    BadInput("a header that cannot be parsed", spoil=header("((((")),
    BadInput("an .npz archive", spoil=archive),
    BadInput("the start of a zip archive", spoil=put(FEATURES, b"PK\x03\x04broken")),
    BadInput("a link out of the data directory", spoil=link_out),
    BadInput("one dimension", spoil=features(lambda a: a[:, 0])),
    BadInput("no snippets", spoil=features(lambda a: a[:0])),
    BadInput("another number of channels", spoil=features(lambda a: a[:, :9])),
    BadInput("transposed", spoil=features(lambda a: a.T)),
    Trained("all transposed", spoil=all_features(lambda a: a.T)),
    Trained("all at another frame rate", spoil=edit(GT, at_30_frames_per_second)),
    Trained("all at another stride", "--snippet_frames 4"),
    Trained(
        "all rescaled to the same number of snippets",
        spoil=all_features(lambda a: a[np.arange(50) * len(a) // 50]),
    ),
    Trained("one that is too short for its video", spoil=features(lambda a: a[:9])),
    BadInput("integers", spoil=features(lambda a: a.astype(np.int64))),
    BadInput("NaN", spoil=value(np.nan)),
    BadInput("infinity", spoil=value(np.inf)),
    BadInput(
        "float64 values outside the range of float32",
        spoil=features(lambda a: a.astype(np.float64) * 1e300),
    ),
]
