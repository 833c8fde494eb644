"""Writes a demonstration data set in the layout of the real one; every value in it is invented.

    python -m dataset.synthetic --output data/demo
    python -m dataset.synthetic --output data/full --train_videos 200 --test_videos 210 \
        --classes 20 --mean_seconds 205

The second command has the shape of THUMOS14. An action is a fixed order of sub-actions, the same
for every instance of its class, played at varying speed. Before and after it, and at times without
it, the video shows the context of its class; the rest is background, from scenes that all classes
share. The timelines have the statistics of THUMOS14, the rows those of two-stream I3D features.

Letters: T rows of a video, D channels, K latent factors, S spans of a timeline, P prototypes.
"""

import zlib
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from config.class_names import THUMOS14
from utils.errors import UserError, command
from utils.files import read_json, write_atomically, write_json, write_text

Floats = NDArray[np.float32]
Instance = tuple[float, float, int]  # start and end in seconds, class
Span = tuple[float, float, int]  # start and end in seconds, prototype in view

PROGRAM = "python -m dataset.synthetic"
MARKER = "synthetic.json"
VERSION = 1  # to be raised when the same recipe gives other bytes
FRAMES_PER_SECOND, FRAMES_PER_ROW = 25, 16
ROW_SECONDS = FRAMES_PER_ROW / FRAMES_PER_SECOND

# Timelines in seconds, fitted to THUMOS14's 410 videos. A spread is the standard deviation of the
# logarithm of what the line names; limits cut it off.
DURATION_SPREAD, DURATION_LIMITS = 0.87, (9.0, 1600.0)
ACTION_SHARE, SHARE_LIMITS = (1.25, 2.9), (0.03, 0.95)  # beta distribution over a video's duration
CLASS_SECONDS = (2.2, 9.5)  # typical length of the shortest and of the longest actions
VIDEO_SPREAD, INSTANCE_SPREAD, INSTANCE_LIMITS = 0.45, 0.41, (0.5, 60.0)
PAUSE_SHAPE = 0.55  # gamma distribution: most pauses between actions are short, a few very long
TWO_LABELS = 0.16  # share of the videos that show a second class
CONTEXT_SECONDS = 2.0  # median of the context on either side of an action
SHOT_SECONDS, SHOT_SPREAD = 6.0, 0.5  # median of the shots that fill the rest of a pause

# Content. A prototype is one thing to see; a class has STAGES sub-actions, VIEWS of its context.
# Sub-actions take part of their look from MOTIONS, views theirs from SCENES, common to all classes.
STAGES, VIEWS, MOTIONS, SCENES, SCENES_PER_VIDEO = 5, 2, 12, 6, 4
BLOCK = STAGES + VIEWS
STAGE_PACE = 6.0  # Dirichlet concentration of the stages' shares of an instance; large is even
# Shares of variance: of a sub-action by source; of a view, what is not a scene of all classes. With
# a larger CONTEXT_OWN context is the easier clue to the label, and networks localize it instead.
MOTION, STAGE, LOOK, SETTING = 0.30, 0.20, 0.40, 0.10
CONTEXT_OWN = 0.3
FOREIGN_CONTEXT = 0.3  # share of the context shots whose class is drawn at random

# Rows, fitted to real features: shares of variance by source, then for each channel a normal
# variable whose positive part, cubed, has the skew, the zeros and the norm of I3D's activations.
FACTORS, FACTOR_DECAY = 480, 0.25
APPEARANCE, CONTENT, DRIFT, JITTER = 0.32, 0.40, 0.09, 0.19
DRIFT_ROWS = 4  # distance of the independent values between which the drift runs
CHANNELS = 1024  # of each stream
STREAMS = ((0.482, 0.194, 0.09), (0.371, 0.191, 0.14))  # RGB, flow: mean, deviation, channel spread
GAIN_SPREAD = 0.19


@dataclass(frozen=True)
class Recipe:
    """The arguments of `write_dataset` that decide every byte; raises UserError for a wrong one."""

    train_videos: int
    test_videos: int
    classes: int
    mean_seconds: float
    context: float
    noise: float
    seed: int
    dtype: str

    def __post_init__(self) -> None:
        for name, low, high in (
            ("classes", 1, len(THUMOS14)),
            ("train_videos", self.classes, 100_000),
            ("test_videos", self.classes, 100_000),
            ("mean_seconds", 10, 1000),
            ("context", 0, 1),
            ("noise", 0, 10),
            ("seed", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                why = f" (a video for each of --classes {low})" if name.endswith("videos") else ""
                raise UserError(f"--{name} is {value}; it must lie in {low} to {high}{why}")
        if self.dtype not in ("float16", "float32"):
            raise UserError(f"--dtype is {self.dtype}; it must be float16 or float32")


@dataclass(frozen=True)
class World:
    """What the videos of a data set share.

    Attributes:
        prototypes: (P, K) what can be seen: BLOCK rows a class (sub-actions in order, the view
            before an action, the view after it), then SCENES.
        mixing: (K, D) how strongly a channel answers to a factor.
        mean, deviation: (D,) of each channel before it is rectified and cubed.
    """

    prototypes: Floats
    mixing: Floats
    mean: Floats
    deviation: Floats


@dataclass(frozen=True)
class Timeline:
    """A video before it is rendered.

    Attributes:
        frames: its length at FRAMES_PER_SECOND; it has T = frames // FRAMES_PER_ROW rows.
        instances: its actions, in temporal order.
        spans: what is in view, in temporal order and without a hole.
    """

    frames: int
    instances: list[Instance]
    spans: list[Span]


def generator(seed: int, name: str) -> Generator:
    """Random numbers for one purpose, which nothing drawn for another purpose changes."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def make_world(seed: int, classes: int) -> World:
    """Draws prototypes and channels; those of a class do not depend on the number of classes."""
    rng = generator(seed, "world")
    motions, scenes = _latent(rng, MOTIONS), _latent(rng, SCENES)
    prototypes: list[Floats] = []
    for label in range(classes):
        own = generator(seed, f"class {label}")
        setting = _latent(own, 1)
        prototypes.append(
            MOTION**0.5 * motions[own.permutation(MOTIONS)[:STAGES]]
            + STAGE**0.5 * _latent(own, STAGES)
            + LOOK**0.5 * _latent(own, 1)
            + SETTING**0.5 * setting
        )
        seen = scenes[own.permutation(SCENES)[:VIEWS]]
        prototypes.append(CONTEXT_OWN**0.5 * setting + (1 - CONTEXT_OWN) ** 0.5 * seen)
    mixing = rng.standard_normal((FACTORS, CHANNELS * len(STREAMS)), dtype=np.float32)
    size = np.concatenate([rng.lognormal(0, spread, CHANNELS) for _, _, spread in STREAMS])
    mean, deviation = (
        (size * np.repeat([stream[i] for stream in STREAMS], CHANNELS)).astype(np.float32)
        for i in (0, 1)
    )
    return World(np.concatenate([*prototypes, scenes]), mixing, mean, deviation)


def _latent(rng: Generator, number: int) -> Floats:
    """(number, K) independent points whose variance falls with the factor and sums to one."""
    scale = np.arange(1, FACTORS + 1) ** -FACTOR_DECAY
    scale /= np.linalg.norm(scale)
    return rng.standard_normal((number, FACTORS), dtype=np.float32) * scale.astype(np.float32)


def draw_video(recipe: Recipe, world: World, name: str, index: int) -> tuple[Timeline, Floats]:
    """Timeline and (T, D) rows of a video; the same whatever the number of videos.

    Args:
        index: place of the video in its subset, which decides its class.
    """
    rng = generator(recipe.seed, name)
    timeline = draw_timeline(rng, recipe, index)
    return timeline, _draw_rows(rng, world, timeline, recipe.noise)


def draw_timeline(rng: Generator, recipe: Recipe, index: int) -> Timeline:
    """Draws what happens in the video at place `index` of its subset."""
    labels = [index % recipe.classes]
    # The first two videos of every class stay plain: a small set too has pairs of equal labels.
    plain = recipe.classes == 1 or index < 2 * recipe.classes
    if not plain and rng.random() < TWO_LABELS:
        labels.append((index + 1) % recipe.classes)
    typical = recipe.mean_seconds * np.exp(-(DURATION_SPREAD**2) / 2)
    wanted = np.clip(typical * rng.lognormal(0, DURATION_SPREAD), *DURATION_LIMITS)
    frames = int(wanted * FRAMES_PER_SECOND)
    seconds = frames / FRAMES_PER_SECOND
    instances = _draw_instances(rng, labels, seconds)
    return Timeline(frames, instances, _draw_spans(rng, instances, labels, seconds, recipe))


def _draw_instances(rng: Generator, labels: list[int], seconds: float) -> list[Instance]:
    shortest, longest = CLASS_SECONDS
    # Multiples of the golden ratio lie evenly between the two, however many classes there are.
    place = (np.array(labels) + 1) * 0.618034 % 1
    typical = shortest * (longest / shortest) ** place * rng.lognormal(0, VIDEO_SPREAD)
    share = np.clip(rng.beta(*ACTION_SHARE), *SHARE_LIMITS)
    mean = typical.mean() * np.exp(INSTANCE_SPREAD**2 / 2)
    number = max(round(share * seconds / mean), len(labels))
    which = np.arange(number)
    which[len(labels) :] = rng.integers(len(labels), size=number - len(labels))
    which = rng.permutation(which)
    lengths = np.clip(typical[which] * rng.lognormal(0, INSTANCE_SPREAD, number), *INSTANCE_LIMITS)
    lengths *= min(1, SHARE_LIMITS[1] * seconds / lengths.sum())
    pauses = rng.gamma(PAUSE_SHAPE, size=number + 1) + 0.03
    pauses *= (seconds - lengths.sum()) / pauses.sum()
    starts = np.cumsum(pauses[:-1] + lengths) - lengths
    return [
        (float(start), float(start + length), labels[i])
        for start, length, i in zip(starts, lengths, which, strict=True)
    ]


def _draw_spans(
    rng: Generator, instances: list[Instance], labels: list[int], seconds: float, recipe: Recipe
) -> list[Span]:
    """Fills the whole timeline, in order and without a hole."""
    scenes = recipe.classes * BLOCK + rng.permutation(SCENES)[:SCENES_PER_VIDEO]

    def shot() -> int:
        if rng.random() >= recipe.context:
            return int(rng.choice(scenes))
        foreign = rng.random() < FOREIGN_CONTEXT
        label = rng.integers(recipe.classes) if foreign else rng.choice(labels)
        return int(label * BLOCK + STAGES + rng.integers(VIEWS))

    spans: list[Span] = []
    clock, before = 0.0, None
    for start, end, label in instances:
        spans += _draw_pause(rng, clock, start, before, label, shot)
        pace = np.cumsum(rng.dirichlet(np.full(STAGES, STAGE_PACE)))[:-1]
        cuts = [start, *(start + (end - start) * pace), end]
        spans += [(cuts[i], cuts[i + 1], label * BLOCK + i) for i in range(STAGES)]
        clock, before = end, label
    return spans + _draw_pause(rng, clock, seconds, before, None, shot)


def _draw_pause(
    rng: Generator,
    start: float,
    end: float,
    before: int | None,
    after: int | None,
    shot: Callable[[], int],
) -> list[Span]:
    """Context after the action before, shots, context before the action after (None: no action)."""
    room = (end - start) / 2
    first, last = np.minimum(room, CONTEXT_SECONDS * rng.lognormal(0, SHOT_SPREAD, 2))
    clock = start if before is None else start + first
    stop = end if after is None else end - last
    spans: list[Span] = []
    if before is not None:
        spans.append((start, clock, before * BLOCK + STAGES + 1))
    while clock < stop:
        cut = min(stop, clock + SHOT_SECONDS * rng.lognormal(0, SHOT_SPREAD))
        spans.append((clock, cut, shot()))
        clock = cut
    if after is not None:
        spans.append((stop, end, after * BLOCK + STAGES))
    return spans


def _draw_rows(rng: Generator, world: World, timeline: Timeline, noise: float) -> Floats:
    """(T, D) features; a row sees each prototype for the part of its time that shows it."""
    number = timeline.frames // FRAMES_PER_ROW  # T
    begin = np.arange(number)[:, None] * ROW_SECONDS
    starts, ends, shown = (np.array(column) for column in zip(*timeline.spans, strict=True))
    overlap = np.minimum(ends, begin + ROW_SECONDS) - np.maximum(starts, begin)
    part = (np.clip(overlap, 0, None) / ROW_SECONDS).astype(np.float32)  # (T, S)
    knots = _latent(rng, number // DRIFT_ROWS + 2)
    knot, row = np.divmod(np.arange(number), DRIFT_ROWS)
    place = (row / DRIFT_ROWS).astype(np.float32)[:, None]
    # Between two independent knots the variance would dip; the divisor keeps it at one.
    drift = (1 - place) * knots[knot] + place * knots[knot + 1]
    drift /= np.sqrt((1 - place) ** 2 + place**2)
    sources = (_latent(rng, 1), part @ world.prototypes[shown], drift, _latent(rng, number))
    shares = np.array([APPEARANCE, CONTENT, DRIFT * noise**2, JITTER * noise**2])
    weights = np.sqrt(shares / shares.sum()).astype(np.float32)
    latent = sum(weight * source for weight, source in zip(weights, sources, strict=True))  # (T, K)
    rows = np.maximum(world.mean + world.deviation * (latent @ world.mixing), 0) ** 3
    return rows * np.float32(rng.lognormal(0, GAIN_SPREAD))


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
    """Writes features, `gt.json`, the two split files and, last, a marker `synthetic.json`.

    A folder that already holds the whole set is left alone; one whose writing was interrupted is
    written again.

    Args:
        output: the data directory: new, empty, or written before with equal arguments.
        train_videos, test_videos: number of videos, at least one a class.
        classes: the first so many of THUMOS14's, 1 to 20.
        mean_seconds: expected duration of a video, 10 to 1000; THUMOS14's is about 205.
        context: share of the shots away from an action that show context all the same, 0 to 1.
        noise: size of random change between rows, 0 to 10; their total variance is kept.
        seed: of everything random; equal arguments give equal bytes.
        dtype: of the features, float16 or float32.

    Raises:
        UserError: a value is out of range, the folder has other content or cannot be written.
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
    world = make_world(seed, classes)
    database: dict[str, Any] = {}
    with tqdm(total=train_videos + test_videos, desc=f"writing {output}", unit="video") as bar:
        for subset, of_subset in names.items():
            for index, name in enumerate(of_subset):
                timeline, rows = draw_video(recipe, world, name, index)
                save = partial(np.save, arr=rows.astype(dtype))
                write_atomically(output / subset / f"{name}.npy", save)
                database[name] = _describe(subset, timeline)
                bar.update()
            write_text(output / f"split_{subset}.txt", "".join(f"{n}\n" for n in of_subset))
    ground_truth = {"taxonomy": [], "version": "synthetic", "database": database}
    write_json(output / "gt.json", ground_truth)
    write_json(output / MARKER, {**marker, "complete": True}, indent=1)


def _describe(subset: str, timeline: Timeline) -> dict[str, Any]:
    """The entry of a video in gt.json."""
    return {
        "duration": timeline.frames / FRAMES_PER_SECOND,
        "frames": timeline.frames,
        "subset": subset,
        "annotations": [
            {"segment": [round(start, 2), round(end, 2)], "label": THUMOS14[label]}
            for start, end, label in timeline.instances
        ],
    }


def _is_complete(output: Path, marker: dict[str, Any], names: dict[str, list[str]]) -> bool:
    """Whether `output` holds the data set; raises UserError if it holds anything else."""
    if not (output / MARKER).is_file():
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise UserError(
                f"--output {output} exists and is no synthetic data set (it has no {MARKER}); "
                "name a folder that is new or empty"
            )
        return False
    found = read_json(output / MARKER, "synthetic data set's marker")
    found = found if isinstance(found, dict) else {}
    other = [f"{k} {found.get(k)}, now {v}" for k, v in marker.items() if found.get(k) != v]
    if other:
        raise UserError(
            f"--output {output} holds a synthetic data set of other arguments "
            f"({'; '.join(other)}); name another folder, or delete that one first"
        )
    files = [output / s / f"{name}.npy" for s, of_subset in names.items() for name in of_subset]
    files += [output / "gt.json", *(output / f"split_{subset}.txt" for subset in names)]
    return bool(found.get("complete")) and all(file.is_file() for file in files)


@command(PROGRAM)
def main() -> None:
    parser = ArgumentParser(
        prog=PROGRAM,
        description="Write a synthetic demonstration data set in the ACM-Net layout.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="data directory to write")
    add("--train_videos", type=int, metavar="N", help="training videos, at least one a class")
    add("--test_videos", type=int, metavar="N", help="test videos, at least one a class")
    add("--classes", type=int, metavar="N", help="classes, 1 to 20")
    add("--mean_seconds", type=float, metavar="S", help="mean duration, seconds, 10 to 1000")
    add("--context", type=float, metavar="X", help="share of context away from actions, 0 to 1")
    add("--noise", type=float, metavar="X", help="size of random change between rows, 0 to 10")
    add("--seed", type=int, metavar="N", help="seed of everything random")
    add("--dtype", choices=("float16", "float32"), help="type of the features")
    parser.set_defaults(**(write_dataset.__kwdefaults__ or {}))
    write_dataset(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
