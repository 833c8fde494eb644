"""From the timeline of a synthetic video to its features.

Letters: T snippets of the video, S spans of its timeline, K latent factors, D channels.
"""

import numpy as np
from numpy.random import Generator

from dataset.synthetic.timeline import FRAMES_PER_SNIPPET, SNIPPET_SECONDS, Timeline
from dataset.synthetic.world import Floats, World, latent_points

# Fitted to real features: variance by source. Each channel is then a normal variable whose positive
# part, cubed, has the skewness, the zeros and the norm of the activations of I3D.
APPEARANCE, CONTENT, DRIFT, JITTER = 0.32, 0.40, 0.09, 0.19
DRIFT_SNIPPETS = 4  # distance of the independent values between which the drift is interpolated
GAIN_SPREAD = 0.19


def render(rng: Generator, world: World, timeline: Timeline, noise: float) -> Floats:
    """(T, D) features; a snippet shows each prototype in proportion to its time in view.

    Args:
        rng: Random number generator of the video.
        world: Prototypes and channels of the data set.
        timeline: The T snippets and S spans of the video.
        noise: Size of the random change between snippets; the total variance does not change.
    """
    number = timeline.frames // FRAMES_PER_SNIPPET  # T
    begin = np.arange(number)[:, None] * SNIPPET_SECONDS
    starts, ends, shown = (np.array(column) for column in zip(*timeline.spans, strict=True))
    overlap = np.minimum(ends, begin + SNIPPET_SECONDS) - np.maximum(starts, begin)
    part = (np.clip(overlap, 0, None) / SNIPPET_SECONDS).astype(np.float32)  # (T, S)
    drift = _drift(rng, number)
    appearance, jitter = latent_points(rng, 1), latent_points(rng, number)
    sources = (appearance, part @ world.prototypes[shown], drift, jitter)
    shares = np.array([APPEARANCE, CONTENT, DRIFT * noise**2, JITTER * noise**2])
    weights = np.sqrt(shares / shares.sum()).astype(np.float32)
    latent = sum(weight * source for weight, source in zip(weights, sources, strict=True))  # (T, K)
    features = np.maximum(world.mean + world.deviation * (latent @ world.mixing), 0) ** 3
    return features * np.float32(rng.lognormal(0, GAIN_SPREAD))


def _drift(rng: Generator, number: int) -> Floats:
    """(T, K) slow change of constant variance, interpolated between independent points."""
    knots = latent_points(rng, number // DRIFT_SNIPPETS + 2)
    knot, offset = np.divmod(np.arange(number), DRIFT_SNIPPETS)
    place = (offset / DRIFT_SNIPPETS).astype(np.float32)[:, None]
    drift = (1 - place) * knots[knot] + place * knots[knot + 1]
    # The variance would dip between two knots; the divisor keeps it at one.
    drift /= np.sqrt((1 - place) ** 2 + place**2)
    return drift
