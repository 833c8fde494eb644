"""Writes a synthetic data set: features, annotations, split files and a marker.

Letters: T snippets of a video, D channels.
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dataset.synthetic.recipe import CLASSES, Recipe
from dataset.synthetic.rendering import render
from dataset.synthetic.timeline import FRAMES_PER_SECOND, Timeline, draw_timeline
from dataset.synthetic.world import Floats, World, generator, make_world
from utils.errors import UserError
from utils.files import read_json, write_atomically, write_json, write_text
from utils.progress import progress_bar

MARKER = "synthetic.json"
VERSION = 1  # to be increased when the same recipe gives different bytes


def write_dataset(
    output: Path,
    *,
    train_videos: int = 40,
    test_videos: int = 20,
    classes: int = 5,
    mean_seconds: float = 60.0,
    context: float = 0.3,
    noise: float = 1.0,
    seed: int = 0,
    dtype: str = "float32",
) -> None:
    """Writes features, `gt.json`, the two split files and, last, the marker `synthetic.json`.

    A folder that already holds the complete data set is left unchanged; an incomplete one is
    written again.

    Args:
        output: Data directory: new, empty, or written before with the same arguments.
        train_videos, test_videos: Number of videos, at least one per class.
        classes: Number of classes, the first ones of THUMOS14, 1 to 20.
        mean_seconds: Expected duration of a video, 10 to 1000; about 205 in THUMOS14.
        context: Share of the shots away from an action that still show context, 0 to 1.
        noise: Size of the random change between snippets, 0 to 10; the total variance of the
            features does not change.
        seed: Random seed; equal arguments give equal bytes.
        dtype: Type of the features, float16 or float32.

    Raises:
        UserError: If a value is out of range, or the folder has other content or is not writable.
    """
    output = Path(output)
    recipe = Recipe(train_videos, test_videos, classes, mean_seconds, context, noise, seed, dtype)
    names = {
        "train": [f"video_validation_{i + 1:07d}" for i in range(train_videos)],
        "test": [f"video_test_{i + 1:07d}" for i in range(test_videos)],
    }
    marker = {"version": VERSION, **asdict(recipe)}
    if _is_complete(output, marker, names):
        print(f"{output} already holds this data set")
        return
    write_json(output / MARKER, {**marker, "complete": False}, indent=1)
    database = _write_videos(output, recipe, names)
    ground_truth = {"taxonomy": [], "version": "synthetic", "database": database}
    write_json(output / "gt.json", ground_truth)
    write_json(output / MARKER, {**marker, "complete": True}, indent=1)
    print(f"{output}: wrote {train_videos} training and {test_videos} test videos")


def draw_video(recipe: Recipe, world: World, name: str, index: int) -> tuple[Timeline, Floats]:
    """Draws the timeline and the (T, D) features of a video, for any number of videos the same.

    Args:
        recipe: Arguments of the data set.
        world: Prototypes and channels of the data set.
        name: Name of the video, from which its random numbers are seeded.
        index: Position of the video in its subset, which determines its class.
    """
    rng = generator(recipe.seed, name)
    timeline = draw_timeline(rng, recipe, index)
    return timeline, render(rng, world, timeline, recipe.noise)


def _write_videos(output: Path, recipe: Recipe, names: dict[str, list[str]]) -> dict[str, Any]:
    """Writes the features and the split files; returns the "database" of gt.json."""
    world = make_world(recipe.seed, recipe.classes)
    database: dict[str, Any] = {}
    with progress_bar(sum(map(len, names.values())), "video", f"writing {output}") as bar:
        for subset, of_subset in names.items():
            for index, name in enumerate(of_subset):
                timeline, features = draw_video(recipe, world, name, index)
                save = partial(np.save, arr=features.astype(recipe.dtype))
                write_atomically(output / subset / f"{name}.npy", save)
                database[name] = _annotation(subset, timeline)
                bar.update()
            write_text(output / f"split_{subset}.txt", "".join(f"{n}\n" for n in of_subset))
    return database


def _annotation(subset: str, timeline: Timeline) -> dict[str, Any]:
    """The entry of a video in gt.json."""
    return {
        "duration": timeline.frames / FRAMES_PER_SECOND,
        "frames": timeline.frames,
        "subset": subset,
        "annotations": [
            {"segment": [round(start, 2), round(end, 2)], "label": CLASSES[label]}
            for start, end, label in timeline.instances
        ],
    }


def _is_complete(output: Path, marker: dict[str, Any], names: dict[str, list[str]]) -> bool:
    """Whether `output` holds the complete data set; a UserError if it holds anything else."""
    if not (output / MARKER).is_file():
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise UserError(
                f"--output {output} exists and is not a synthetic data set (it has no {MARKER}); "
                "choose a folder that is new or empty"
            )
        return False
    found = read_json(output / MARKER, "synthetic data set marker")
    found = found if isinstance(found, dict) else {}
    other = [f"{k} {found.get(k)}, now {v}" for k, v in marker.items() if found.get(k) != v]
    if other:
        raise UserError(
            f"--output {output} holds a synthetic data set with different arguments "
            f"({'; '.join(other)}); choose another folder, or delete that one first"
        )
    files = [output / s / f"{name}.npy" for s, of_subset in names.items() for name in of_subset]
    files += [output / "gt.json", *(output / f"split_{subset}.txt" for subset in names)]
    return bool(found.get("complete")) and all(file.is_file() for file in files)
