"""Mistakes in the data directory."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.bad_inputs.case import BadInput, cut, edit, folder_instead, put

GT, TRAIN_LIST, TEST_LIST = "data/gt.json", "data/split_train.txt", "data/split_test.txt"
NAME, TEST_NAME = "video_train_0000000", "video_test_0000002"
FEATURES = f"data/train/{NAME}.npy"


def entry(change: Callable[[dict[str, Any]], object]) -> Callable[[], object]:
    """Changes the entry of one training video in gt.json."""
    return edit(GT, lambda content: change(content["database"][NAME]))


def annotation(**values: Any) -> Callable[[], object]:
    """Changes the first annotation of that video."""
    return entry(lambda video: video["annotations"][0].update(values))


def rows(change: Callable[[Any], Any]) -> Callable[[], object]:
    """Changes the array of its features."""
    return lambda: np.save(FEATURES, change(np.load(FEATURES)))


def value(number: float) -> Callable[[], object]:
    """Puts a number into row 5 of its features."""

    def change(array: Any) -> Any:
        array[5, 3] = number
        return array

    return rows(change)


def more(path: str, line: str) -> Callable[[], object]:
    """Appends a line to a split file."""
    return lambda: Path(path).write_text(Path(path).read_text() + line + "\n")


def keep(count: int) -> Callable[[], object]:
    """Cuts the list of training videos."""
    return lambda: Path(TRAIN_LIST).write_text(
        "\n".join(Path(TRAIN_LIST).read_text().split()[:count])
    )


def link_out() -> None:
    Path(FEATURES).rename("outside.npy")
    Path(FEATURES).symlink_to(Path("outside.npy").absolute())


def pickled() -> None:
    np.save(FEATURES, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def archive() -> None:
    np.savez("a.npz", rows=np.ones((3, 16)))
    os.replace("a.npz", FEATURES)


def header(shape: str) -> Callable[[], object]:
    """An array file whose header says more than there is."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return put(FEATURES, b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64))


def same_label(content: Any) -> None:
    for video in content["database"].values():
        video["annotations"] = [{"segment": [0, 1], "label": "Diving"}]


def without_a_segment(content: Any) -> None:
    del content["database"][TEST_NAME]["annotations"][0]["segment"]


DIRECTORY = [
    BadInput("no data directory", "--data_dir nowhere"),
    BadInput("a file in its place", "--data_dir good.pth"),
    BadInput("no gt.json", spoil=Path(GT).unlink),
    BadInput("no split_test.txt", spoil=Path(TEST_LIST).unlink),
    BadInput("no features of a video", spoil=Path(FEATURES).unlink),
    BadInput("no folder test", spoil=lambda: shutil.rmtree("data/test")),
    BadInput(
        "several mistakes at once", spoil=lambda: (cut(FEATURES, 9)(), more(TEST_LIST, "new")())
    ),
]

SPLITS = [
    BadInput("empty", spoil=put(TEST_LIST, "\n \n")),
    BadInput("a folder in its place", spoil=folder_instead(TRAIN_LIST)),
    BadInput("not UTF-8", spoil=put(TRAIN_LIST, b"video_\xff\n")),
    BadInput("a name twice", spoil=more(TRAIN_LIST, NAME)),
    BadInput("a name in both splits", spoil=more(TEST_LIST, NAME)),
    BadInput("a name that is not in gt.json", spoil=edit(GT, lambda c: c["database"].pop(NAME))),
    BadInput("a name that leads out of the folder", spoil=more(TRAIN_LIST, "../gt")),
    BadInput("an absolute path", spoil=more(TRAIN_LIST, "/etc/passwd")),
    BadInput("a Windows path", spoil=more(TRAIN_LIST, "C:\\secret")),
    BadInput("a control character", spoil=more(TRAIN_LIST, "video\x1b[2J")),
    BadInput("with `--ftcl`: no two videos with the same labels", "--ftcl", spoil=keep(2)),
    BadInput(
        "with `--ftcl`: no two videos without a common label", "--ftcl", spoil=edit(GT, same_label)
    ),
]

ANNOTATIONS = [
    BadInput("empty", spoil=put(GT)),
    BadInput("cut off", spoil=cut(GT, 20)),
    BadInput("not UTF-8", spoil=put(GT, b"\xff\xfe")),
    BadInput("a folder in its place", spoil=folder_instead(GT)),
    BadInput("another form", spoil=put(GT, "[]")),
    BadInput("no video", spoil=put(GT, '{"database": {}}')),
    BadInput("nested without end", spoil=put(GT, "[" * 100_000)),
    BadInput("a number of 5,000 digits", spoil=put(GT, f'{{"database": {"9" * 5000}}}')),
    BadInput(
        "an entry that is no object", spoil=edit(GT, lambda c: c["database"].update({NAME: 5}))
    ),
    BadInput("an unknown class", spoil=annotation(label="Chess")),
    BadInput("no class", spoil=annotation(label=None)),
    BadInput("a class name with control characters", spoil=annotation(label="a\x1b[2J")),
    BadInput("a class name that is not Unicode", spoil=annotation(label="\ud800")),
    BadInput(
        "a video name with control characters",
        spoil=edit(GT, lambda c: c["database"].update({"a\nb": {}})),
    ),
    BadInput("a training video without a label", spoil=entry(lambda v: v.update(annotations=[]))),
    BadInput("annotations that are no list", spoil=entry(lambda v: v.update(annotations={}))),
    BadInput("no segment in a test video", spoil=edit(GT, without_a_segment)),
    BadInput("a segment of words", spoil=annotation(segment=["0", "1"])),
    BadInput("a segment that ends before it starts", spoil=annotation(segment=[5, 4])),
    BadInput("a segment before the start of the video", spoil=annotation(segment=[-1, 4])),
    BadInput("NaN as a time", spoil=annotation(segment=[0, float("nan")])),
    BadInput("a time beyond every number", spoil=annotation(segment=[0, 10**400])),
    BadInput("a negative duration", spoil=entry(lambda v: v.update(duration=-1))),
    BadInput("a subset that is no name", spoil=entry(lambda v: v.update(subset=3))),
]

FEATURE_FILES = [
    BadInput("empty", spoil=put(FEATURES)),
    BadInput("cut off", spoil=cut(FEATURES, 100)),
    BadInput("text", spoil=put(FEATURES, "no numbers")),
    BadInput("Python objects, whose loading could run code", spoil=pickled),
    BadInput("a header that asks for terabytes", spoil=header("(1000000000000, 16)")),
    BadInput("a header that is no Python", spoil=header("((((")),
    BadInput("an .npz archive", spoil=archive),
    BadInput("the beginning of a zip archive", spoil=put(FEATURES, b"PK\x03\x04broken")),
    BadInput("a link out of the data directory", spoil=link_out),
    BadInput("one dimension", spoil=rows(lambda a: a[:, 0])),
    BadInput("no rows", spoil=rows(lambda a: a[:0])),
    BadInput("another number of channels", spoil=rows(lambda a: a[:, :9])),
    BadInput("integers", spoil=rows(lambda a: a.astype(np.int64))),
    BadInput("NaN", spoil=value(np.nan)),
    BadInput("infinity", spoil=value(np.inf)),
    BadInput("float64 beyond float32", spoil=rows(lambda a: a.astype(np.float64) * 1e300)),
]
