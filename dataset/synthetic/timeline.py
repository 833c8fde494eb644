"""What happens in a synthetic video, and when: actions, their context, and background shots."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator

from dataset.synthetic.recipe import Recipe
from dataset.synthetic.world import BLOCK, SCENES, STAGES, VIEWS

Instance: TypeAlias = tuple[float, float, int]  # start and end in seconds, class
Span: TypeAlias = tuple[float, float, int]  # start and end in seconds, prototype in view

FRAMES_PER_SECOND, FRAMES_PER_SNIPPET = 25, 16
SNIPPET_SECONDS = FRAMES_PER_SNIPPET / FRAMES_PER_SECOND

# Fitted to the 410 videos of THUMOS14. Times are in seconds. A spread is the standard deviation of
# the logarithm of the quantity before it; limits truncate the distribution.
DURATION_SPREAD, DURATION_LIMITS = 0.87, (9.0, 1600.0)
ACTION_SHARE, SHARE_LIMITS = (1.25, 2.9), (0.03, 0.95)  # beta distribution over a video's duration
CLASS_SECONDS = (2.2, 9.5)  # typical length of the shortest and of the longest actions
VIDEO_SPREAD, INSTANCE_SPREAD, INSTANCE_LIMITS = 0.45, 0.41, (0.5, 60.0)
PAUSE_SHAPE = 0.55  # gamma distribution: most pauses between actions are short, a few very long
TWO_LABELS = 0.16  # share of the videos that show a second class
CONTEXT_SECONDS = 2.0  # median length of the context on either side of an action
SHOT_SECONDS, SHOT_SPREAD = 6.0, 0.5  # median length of the shots that fill the rest of a pause

STAGE_PACE = 6.0  # Dirichlet concentration of the lengths of the stages; larger is more even
SCENES_PER_VIDEO = 4
FOREIGN_CONTEXT = 0.3  # share of the context shots whose class is drawn at random


@dataclass(frozen=True)
class Timeline:
    """A video before its features are computed.

    Attributes:
        frames: Length at FRAMES_PER_SECOND; the video has frames // FRAMES_PER_SNIPPET snippets.
        instances: Action instances, in temporal order.
        spans: What is in view, in temporal order and without gaps.
    """

    frames: int
    instances: list[Instance]
    spans: list[Span]


def draw_timeline(rng: Generator, recipe: Recipe, index: int) -> Timeline:
    """Draws what happens in the video at position `index` of its subset."""
    labels = [index % recipe.classes]
    # The first two videos of each class show no other one: small sets too need positive pairs.
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
    """Draws the action instances of a video of this duration, at least one per label."""
    shortest, longest = CLASS_SECONDS
    # Multiples of the golden ratio are spread evenly for any number of classes.
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
    """Fills the whole timeline, in order and without gaps."""
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
    """Fills a pause: context of the action before it, shots, context of the action after it.

    Args:
        rng: Random number generator of the video.
        start, end: Limits of the pause in seconds.
        before, after: Classes of the adjacent actions; None at either end of the video.
        shot: Draws the prototype of a shot.
    """
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
