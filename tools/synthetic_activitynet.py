"""Writes a data directory with real ActivityNet annotations and synthetic features.

    python tools/synthetic_activitynet.py --annotations activity_net.v1-3.min.json \\
        --output data/synthetic_activitynet --train_videos 9649 --test_videos 4728 --channels 128

Names, durations, labels and segments are those of the file; the features are synthetic: within an
instance a snippet shows a direction of its class, elsewhere one of a few scenes, and everywhere
noise. Meant for a learning curve (small --channels) and for timing (--channels 2048): the numbers
say nothing about real ActivityNet features.

Letters: T snippets of a video, D channels.
"""

import argparse
import json
import os
import shutil
import sys
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dataset.annotations import Video, read_database
from utils.errors import UserError, command
from utils.files import write_atomically, write_json, write_text
from utils.progress import progress_bar

SNIPPET_SECONDS = 16 / 25
SCENES, CONFUSION = 12, 0.25  # scenes of the background; share of it that shows the class anyway
SIGNAL, NOISE = 2.5, 1.0
SUBSETS = {"train": "training", "test": "validation"}


def render(video: Video, channels: int, seed: int) -> NDArray[np.float16]:
    """(T, D) features of a video; the same for the same name, number of channels and seed."""
    random = np.random.default_rng([seed, zlib.crc32(video.name.encode())])
    number = max(int((video.duration or 60) / SNIPPET_SECONDS), 2)
    begin = np.arange(number) * SNIPPET_SECONDS
    scenes = _directions("scene", SCENES, channels, seed)
    shots = random.integers(SCENES, size=number // 8 + 1).repeat(8)[:number]
    rows = scenes[shots].copy()
    for label in video.labels:
        own = _directions(label, 1, channels, seed)[0]
        inside = np.zeros(number)
        for segment in video.segments:
            if segment.label == label:
                overlap = np.minimum(segment.end, begin + SNIPPET_SECONDS)
                overlap = overlap - np.maximum(segment.start, begin)
                inside = np.maximum(inside, np.clip(overlap / SNIPPET_SECONDS, 0, 1))
        context = (random.random(number) < CONFUSION) * 0.5
        rows += np.maximum(inside, context)[:, None] * own
    rows = SIGNAL * rows + NOISE * random.standard_normal((number, channels), dtype=np.float32)
    return np.maximum(rows, 0).astype(np.float16)


def _directions(name: str, number: int, channels: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng([seed, 1, zlib.crc32(name.encode())])
    return random.standard_normal((number, channels), dtype=np.float32)


def write_dataset(
    annotations: Path, output: Path, videos: dict[str, int], channels: int, seed: int
) -> None:
    """Writes features, gt.json and split files.

    Args:
        annotations: Annotation file in one of the official forms.
        output: New data directory.
        videos: Number of videos of `train` and `test`, the first ones of their subset with a label.
        channels: D.
        seed: Random seed.

    Raises:
        UserError: If the directory exists, or the file has too few videos.
    """
    if output.exists():
        raise UserError(f"--output {output} exists already; remove it or choose another directory")
    database = read_database(annotations)
    chosen: dict[str, list[Video]] = {}
    for split, number in videos.items():
        found = [v for v in database.values() if v.subset == SUBSETS[split] and v.labels]
        if len(found) < number:
            raise UserError(
                f"--{split}_videos {number}: {annotations} has {len(found)} annotated videos in "
                f"the subset {SUBSETS[split]}; ask for fewer"
            )
        chosen[split] = found[:number]
    content: dict[str, Any] = json.loads(annotations.read_text(encoding="utf-8"))
    names = {video.name for of_split in chosen.values() for video in of_split}
    content["database"] = {n: v for n, v in content["database"].items() if n in names}
    unfinished = output.with_name(f"{output.name}.{os.getpid()}.unfinished")
    try:
        write_json(unfinished / "gt.json", content)
        with progress_bar(sum(videos.values()), "video", "writing features") as bar:
            for split, of_split in chosen.items():
                for video in of_split:
                    save = partial(np.save, arr=render(video, channels, seed))
                    write_atomically(unfinished / split / f"{video.name}.npy", save)
                    bar.update()
                listed = "".join(f"{video.name}\n" for video in of_split)
                write_text(unfinished / f"split_{split}.txt", listed)
        unfinished.rename(output)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@command("tools/synthetic_activitynet.py")
def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--train_videos", type=int, default=1000, metavar="N")
    parser.add_argument("--test_videos", type=int, default=500, metavar="N")
    parser.add_argument("--channels", type=int, default=128, metavar="D")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    given = parser.parse_args()
    videos = {"train": given.train_videos, "test": given.test_videos}
    write_dataset(given.annotations, given.output, videos, given.channels, given.seed)


if __name__ == "__main__":
    main()
