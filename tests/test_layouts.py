"""Reading a data directory: what is accepted, and the error message for everything else."""

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from config.datasets import DATASETS
from dataset.dataset import Dataset
from dataset.features.store import FeatureStore
from dataset.layouts import read_dataset
from dataset.timing import SnippetTiming
from tests.data_folder import LABELS, edit_json, make_data
from utils.errors import UserError

THUMOS14 = DATASETS["THUMOS"].classes
TRAIN = "video_train_0000000"
TEST = "video_test_0000002"


def read(folder: Path, **changes: Any) -> Dataset:
    return read_dataset(folder, THUMOS14, **{"timing": SnippetTiming(16, 25), **changes})


def all_snippets(data: Dataset, split: str) -> Tensor:
    features = data.splits[split].features
    assert isinstance(features, FeatureStore)
    return features.snippets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data")


def test_a_good_folder_is_read(folder: Path) -> None:
    data = read(folder)
    train = data.splits["train"]
    assert train.videos[0].name == TRAIN
    assert train.labels.shape == (6, 20)
    assert train.labels.argmax(dim=1).tolist() == [0, 1, 2, 0, 1, 2]
    assert data.feature_dim == 16
    snippets = np.load(folder / "train" / f"{TRAIN}.npy")
    gathered = train.features.gather(torch.tensor([0]), torch.arange(len(snippets))[None])
    np.testing.assert_array_equal(gathered[0].numpy(), snippets)


def test_the_number_of_reading_threads_does_not_matter(folder: Path) -> None:
    one, many = read(folder, workers=1), read(folder, workers=7)
    for split in ("train", "test"):
        assert all_snippets(one, split).equal(all_snippets(many, split))


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [(np.float16, torch.float16), (np.float32, torch.float32), (np.float64, torch.float32)],
)
def test_float_features_of_any_precision_are_accepted(
    folder: Path, dtype: Any, stored: Any
) -> None:
    for file in folder.glob("*/*.npy"):
        np.save(file, np.load(file).astype(dtype))
    assert all_snippets(read(folder), "test").dtype == stored


def test_fortran_order_and_big_endian_files_give_the_same_features(folder: Path) -> None:
    expected = all_snippets(read(folder), "train")
    for file in folder.glob("train/*.npy"):
        np.save(file, np.asfortranarray(np.load(file).astype(">f4")))
    assert all_snippets(read(folder), "train").equal(expected)


def test_windows_line_ends_blank_lines_and_a_byte_order_mark_are_accepted(folder: Path) -> None:
    split = folder / "split_train.txt"
    names = split.read_text().split()
    split.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(names).encode() + b"\r\n\r\n")
    assert [video.name for video in read(folder).splits["train"].videos] == names


def test_only_the_test_split_is_needed_for_testing(folder: Path) -> None:
    shutil.rmtree(folder / "train")
    (folder / "split_train.txt").unlink()
    assert list(read(folder, splits=["test"]).splits) == ["test"]


def set_features(file: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / file
        np.save(path, change(np.load(path)))

    return apply


def with_value(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(snippets: np.ndarray) -> np.ndarray:
        snippets[5, 3] = value
        return snippets

    return change


def truncate(folder: Path) -> None:
    path = folder / "train" / f"{TRAIN}.npy"
    path.write_bytes(path.read_bytes()[:-100])


def empty_file(folder: Path) -> None:
    (folder / "train" / f"{TRAIN}.npy").write_bytes(b"")


def no_array(folder: Path) -> None:
    (folder / "train" / f"{TRAIN}.npy").write_text("these are not numbers")


def pickled(folder: Path) -> None:
    np.save(folder / "train" / f"{TRAIN}.npy", np.array([{"a": 1}], dtype=object))


def archive(folder: Path) -> None:
    np.savez(folder / "a.npz", snippets=np.ones((3, 16)))
    (folder / "a.npz").rename(folder / "train" / f"{TRAIN}.npy")


def edit(change: Callable[[Any], object]) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "gt.json", change)


def lines(file: str, change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / file
        path.write_text("\n".join(change(path.read_text().split())))

    return apply


def outside_link(folder: Path) -> None:
    path = folder / "train" / f"{TRAIN}.npy"
    secret = folder.parent / "secret.npy"
    path.rename(secret)
    path.symlink_to(secret)


def annotation(content: Any) -> Any:
    return content["database"][TRAIN]["annotations"][0]


def without_test_split(folder: Path) -> None:
    (folder / "split_test.txt").unlink()
    for file in (folder / "test").glob("*.npy"):
        file.unlink()


BAD: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("no folder", shutil.rmtree, ["does not exist", "split_train.txt", "make demo"]),
    ("no gt", lambda d: (d / "gt.json").unlink(), ["annotation file", "does not exist"]),
    ("no split", without_test_split, ["split file", "does not exist", "no video of the subset"]),
    ("empty split", lambda d: (d / "split_test.txt").write_text("\n \n"), ["names no video"]),
    ("no features", lambda d: (d / "test" / f"{TEST}.npy").unlink(), [TEST, "does not exist"]),
    ("not in gt", edit(lambda c: c["database"].pop(TEST)), [TEST, "not in gt.json"]),
    (
        "unknown label",
        edit(lambda c: annotation(c).update(label="Chess")),
        [TRAIN, "'Chess'", "known labels are BaseballPitch"],
    ),
    (
        "no label",
        edit(lambda c: c["database"][TRAIN].update(annotations=[])),
        [TRAIN, "has no label"],
    ),
    ("1-d", set_features(f"train/{TRAIN}.npy", lambda a: a[:, 0]), [TRAIN, "wanted 2 dimensions"]),
    ("no snippets", set_features(f"train/{TRAIN}.npy", lambda a: a[:0]), [TRAIN, "is empty"]),
    (
        "other width",
        set_features(f"train/{TRAIN}.npy", lambda a: a[:, :9]),
        [TRAIN, "9 channels", "have 16"],
    ),
    (
        "integers",
        set_features(f"train/{TRAIN}.npy", lambda a: a.astype(int)),
        [TRAIN, "int64", "wanted float16"],
    ),
    ("NaN", set_features(f"train/{TRAIN}.npy", with_value(np.nan)), [TRAIN, "snippet 5", "NaN"]),
    (
        "infinity",
        set_features(f"train/{TRAIN}.npy", with_value(np.inf)),
        [TRAIN, "snippet 5", "infinite"],
    ),
    ("truncated", truncate, [TRAIN, "truncated"]),
    ("empty file", empty_file, [TRAIN, "truncated"]),
    ("no array", no_array, [TRAIN, "not a complete .npy"]),
    ("pickle", pickled, [TRAIN, "not a complete .npy"]),
    ("archive", archive, [TRAIN, ".npz archive"]),
    ("link out", outside_link, [TRAIN, "leads out of"]),
    (
        "duplicate",
        lines("split_train.txt", lambda names: [*names, names[0]]),
        ["line 7", TRAIN, "already on line 1"],
    ),
    (
        "in both splits",
        lines("split_test.txt", lambda names: [*names, TRAIN]),
        [TRAIN, "in both split files"],
    ),
    (
        "parent folder",
        lines("split_train.txt", lambda names: [*names, "../gt"]),
        ["line 7", "'../gt'", "not a plain video name"],
    ),
    ("not json", lambda d: (d / "gt.json").write_text('{"database": '), ["not valid JSON", "line"]),
    ("no database", lambda d: (d / "gt.json").write_text("[]"), ['no "database"']),
    ("not utf-8", lambda d: (d / "gt.json").write_bytes(b"\xff\xfe"), ["not UTF-8"]),
    (
        "end before start",
        edit(lambda c: annotation(c).update(segment=[5, 4])),
        [TRAIN, "ends before it starts"],
    ),
    ("NaN time", edit(lambda c: annotation(c).update(segment=[0, float("nan")])), [TRAIN, "nan"]),
    ("duration", edit(lambda c: c["database"][TRAIN].update(duration=-1)), [TRAIN, "duration -1"]),
]


@pytest.mark.parametrize(("spoil", "wanted"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_each_problem_is_named(
    folder: Path, spoil: Callable[[Path], object], wanted: list[str]
) -> None:
    spoil(folder)
    with pytest.raises(UserError) as raised:
        read(folder, strict=True)
    for words in wanted:
        assert words in str(raised.value)


def test_all_problems_are_listed_together(folder: Path) -> None:
    truncate(folder)
    (folder / "test" / f"{TEST}.npy").unlink()
    edit_json(folder / "gt.json", lambda c: c["database"].pop("video_train_0000003"))
    lines("split_test.txt", lambda names: [*names, "video_test_missing"])(folder)
    with pytest.raises(UserError) as raised:
        read(folder)
    for words in ("5 problems", TRAIN, TEST, "video_train_0000003", "video_test_missing.npy"):
        assert words in str(raised.value)


def test_names_in_decomposed_unicode_match(folder: Path) -> None:
    """macOS decomposes the names of files; the annotations and the split file may be composed."""
    composed, decomposed = (unicodedata.normalize(form, "vidéo") for form in ("NFC", "NFD"))
    assert composed != decomposed
    (folder / "train" / f"{TRAIN}.npy").rename(folder / "train" / f"{decomposed}.npy")
    lines("split_train.txt", lambda names: [decomposed, *names[1:]])(folder)
    edit(lambda c: c["database"].update({composed: c["database"].pop(TRAIN)}))(folder)
    data = read(folder)
    assert data.splits["train"].videos[0].name == composed
    assert len(data.splits["train"].videos) == 6


def test_names_match_with_and_without_the_prefix(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = read(folder)
    capsys.readouterr()
    for file in folder.glob("*/*.npy"):
        file.rename(file.with_name(f"v_{file.name}"))
    lines("split_test.txt", lambda names: [f"v_{name}" for name in names])(folder)
    data = read(folder)
    assert data.fingerprint == expected.fingerprint
    printed = capsys.readouterr().out
    assert printed.count("matched with and without the prefix v_") == 3  # a split file, two folders
    lines("split_train.txt", lambda names: [*names, f"v_{TRAIN}"])(folder)
    with pytest.raises(UserError, match=r"v_video_train_0000000 is not in gt\.json"):
        read(folder)


def test_the_training_videos_are_known_when_only_the_test_split_is_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(folder / "train")
    assert read(folder, splits=["test"]).training == {f"video_train_{i:07d}" for i in range(6)}
    assert "warning" not in capsys.readouterr().out
    lines("split_train.txt", lambda names: [*names, TEST])(folder)
    read(folder, splits=["test"])
    warning = f"warning: 1 of 4 test videos are in split_train.txt too, such as {TEST}"
    assert warning in capsys.readouterr().out


def test_the_real_annotations_are_read(real_data: Path) -> None:
    data = read(real_data / "thumos14_derived")
    assert len(data.splits["train"].videos) == 200
    assert len(data.splits["test"].videos) == 210
    test = [video for video in data.database.values() if video.subset == "test"]
    assert len(test) == 212
    assert sum(len(video.segments) for video in test) == 3358
    labels = {label for video in data.database.values() for label in video.labels}
    assert labels == set(THUMOS14)
    assert set(LABELS) < labels
    assert json.dumps(sorted(labels)) == json.dumps(list(THUMOS14))
