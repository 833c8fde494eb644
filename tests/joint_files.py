"""Data directories in the layouts of other repositories, made from one in the plain layout."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.datasets import THUMOS14

SUBSETS = {"train": b"validation", "test": b"test"}  # of THUMOS14
NAME = "Thumos14reduced"


def objects(items: Sequence[Any]) -> NDArray[np.object_]:
    """An array of Python objects, as the field's files have them."""
    array = np.empty(len(items), object)
    for number, item in enumerate(items):
        array[number] = item
    return array


def feature_files(folder: Path) -> list[Path]:
    """All feature files of a data directory in the plain layout."""
    return sorted(path for split in ("train", "test") for path in (folder / split).glob("*.npy"))


def as_two_streams(plain: Path, folder: Path) -> Path:
    """Writes the same data with one file per stream, the flow files one snippet longer."""
    for path in feature_files(plain):
        features = np.load(path)
        half = features.shape[1] // 2
        longer = np.concatenate([features, features[-1:]])
        for stream, array in (("rgb", features[:, :half]), ("flow", longer[:, half:])):
            target = folder / "features" / path.parent.name / stream / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            np.save(target, array)
    for name in ("gt.json", "split_train.txt", "split_test.txt"):
        shutil.copyfile(plain / name, folder / name)
    return folder


def as_joint(plain: Path, folder: Path, subsets: dict[str, bytes] = SUBSETS) -> Path:
    """Writes the same data in one file, with annotation arrays of bytes as Python 2 wrote them."""
    annotations = folder / f"{NAME}-Annotations"
    annotations.mkdir(parents=True)
    database = json.loads((plain / "gt.json").read_text())["database"]
    files = {path.stem: path for path in feature_files(plain)}
    names = sorted(database)  # in another order than the split files
    features = objects([np.load(files[name]) for name in names])
    np.save(folder / f"{NAME}-I3D-JOINTFeatures.npy", features, allow_pickle=True)
    entries = [database[name] for name in names]
    labels = [[item["label"] for item in entry["annotations"]] for entry in entries]
    columns = {
        "videoname": np.array([name.encode() for name in names]),
        "subset": np.array([subsets[entry["subset"]] for entry in entries]),
        "duration": np.array([[entry["duration"]] for entry in entries]),
        "labels": objects(labels),
        "labels_all": objects([sorted(set(each)) for each in labels]),
        "segments": objects([[a["segment"] for a in entry["annotations"]] for entry in entries]),
        "classlist": np.array([name.encode() for name in THUMOS14.classes]),
    }
    for name, column in columns.items():
        np.save(annotations / f"{name}.npy", column, allow_pickle=True)
    return folder
