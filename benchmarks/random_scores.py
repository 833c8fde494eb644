"""Random scores and annotations of videos in the shape of THUMOS14.

Letters: T sampled snippets, C action classes.
"""

from collections.abc import Sequence

import numpy as np

from config.datasets import THUMOS14
from dataset.videos import Segment, Video
from eval.evaluator import Evaluator
from eval.localization import localize
from eval.scores import VideoScores

VIDEOS, SNIPPETS, SAMPLED, INSTANCES = 210, 60_685, 750, 3_311  # of the THUMOS14 test videos
CLASSES = [f"class_{c}" for c in range(20)]
SETTINGS = THUMOS14.localization


def random_scores(seed: int = 0) -> list[VideoScores]:
    """Smooth scores with peaks, for as many videos and snippets as THUMOS14 has in its test set."""
    random = np.random.default_rng(seed)
    lengths = random.lognormal(0.0, 0.8, VIDEOS)
    lengths = np.maximum((lengths / lengths.sum() * SNIPPETS).astype(int), 20)
    lengths[np.argmax(lengths)] += SNIPPETS - lengths.sum()
    return [video_scores(f"video_{i}", int(n), random) for i, n in enumerate(lengths)]


def video_scores(
    name: str, snippets: int, random: np.random.Generator, classes: int = len(CLASSES)
) -> VideoScores:
    """Scores of one video, with an action about every 18 snippets.

    Args:
        name: Name of the video.
        snippets: Number of its snippets; at most 750 are sampled.
        random: Generator of the scores.
        classes: Number of classes (C). One of them has actions; one video in ten has a second
            class with a high video score.
    """
    length = min(snippets, SAMPLED)
    label = int(random.integers(classes))
    action = np.zeros(length)
    for _ in range(max(1, length // 18)):
        middle, width = random.uniform(0, length), random.uniform(2, 8)
        peak = np.exp(-(((np.arange(length) - middle) / width) ** 2))
        action = np.maximum(action, random.uniform(0.3, 1) * peak)
    logits = random.normal(0, 0.5, (length, classes + 1))  # (T, C + 1)
    logits[:, label] += 6 * action
    logits[:, -1] += 3
    cas = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    class_scores = np.zeros(classes + 1)
    class_scores[label] = 0.9
    if random.uniform() < 0.1:
        class_scores[(label + 1) % classes] = 0.3
    attention = 1 / (1 + np.exp(2 - 4 * action + random.normal(0, 0.2, length)))
    return VideoScores(
        name,
        snippets,
        cas.astype(np.float32),
        attention.astype(np.float32),
        class_scores.astype(np.float32),
    )


def annotate(
    videos: Sequence[VideoScores],
    classes: Sequence[str] = CLASSES,
    instances: int = INSTANCES,
) -> dict[str, Video]:
    """Annotates randomly chosen detections, with their starts displaced, as instances.

    Args:
        videos: Scores of the videos.
        classes: Names of the classes.
        instances: Number of instances of all videos together.

    Returns:
        The annotated videos by name.
    """
    found = localize(videos, classes, SETTINGS)
    random = np.random.default_rng(0)
    chosen = np.sort(random.choice(len(found), instances, replace=False))
    segments: list[list[Segment]] = [[] for _ in videos]
    for row in chosen.tolist():
        start, end = float(found.start[row]), float(found.end[row])
        moved = start + 0.2 * (end - start) * random.uniform()
        segments[found.video[row]].append(Segment(moved, end, classes[found.label[row]]))
    return {
        video.name: Video(video.name, "test", None, tuple(listed))
        for video, listed in zip(videos, segments, strict=True)
    }


def thumos14_evaluator(database: dict[str, Video], classes: Sequence[str] = CLASSES) -> Evaluator:
    """An evaluator of all annotated videos with the settings of THUMOS14."""
    tiou, average = THUMOS14.tiou, THUMOS14.main_average
    return Evaluator(database, list(database), classes, tiou, SETTINGS, average)
