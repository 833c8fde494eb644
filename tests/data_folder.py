"""A small data directory for tests, in the layout of the real one."""

import json
from pathlib import Path
from typing import Any

import numpy as np

LABELS = ("BaseballPitch", "BasketballDunk", "Billiards")


def make_data(folder: Path, train: int = 6, test: int = 4, width: int = 16, seed: int = 0) -> Path:
    """Writes a data directory whose classes are easy to tell apart, some videos very short."""
    rng = np.random.default_rng(seed)
    database: dict[str, Any] = {}
    for split, count in (("train", train), ("test", test)):
        (folder / split).mkdir(parents=True)
        names = [f"video_{split}_{i:07d}" for i in range(count)]
        (folder / f"split_{split}.txt").write_text("\n".join(names) + "\n")
        for i, name in enumerate(names):
            label = i % len(LABELS)
            length = 1 if i == 1 else int(rng.integers(12, 60))
            features = rng.random((length, width), dtype=np.float32)
            start, stop = length // 4, length // 2 + 1
            features[start:stop, label * 4 : label * 4 + 4] += 3
            np.save(folder / split / f"{name}.npy", features)
            database[name] = {
                "duration": length * 0.64,
                "subset": split,
                "annotations": [
                    {"segment": [start * 0.64, stop * 0.64], "label": LABELS[label]},
                ],
            }
    (folder / "gt.json").write_text(json.dumps({"database": database}))
    return folder


def edit_json(path: Path, change: Any) -> None:
    """Applies a function to the content of a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
