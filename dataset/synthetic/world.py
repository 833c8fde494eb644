"""What the videos of a synthetic data set have in common: prototypes and feature channels.

A prototype is one thing that can be seen, a point in a latent space: the sub-actions and context
views of every class, and the background scenes.

Letters: P prototypes, K latent factors, D channels.
"""

import zlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

# A class has STAGES sub-actions in order and VIEWS of its context, together a BLOCK of prototypes.
# Sub-actions share part of their look with MOTIONS, views with SCENES, common to all classes.
STAGES, VIEWS, MOTIONS, SCENES = 5, 2, 12, 6
BLOCK = STAGES + VIEWS
# Variance of a sub-action by source, and of a view that does not come from a scene. With a larger
# CONTEXT_OWN, context becomes the easier cue for the label, and networks localize it instead.
MOTION, STAGE, LOOK, SETTING = 0.30, 0.20, 0.40, 0.10
CONTEXT_OWN = 0.3

FACTORS, FACTOR_DECAY = 480, 0.25
CHANNELS = 1024  # per stream
STREAMS = ((0.482, 0.194, 0.09), (0.371, 0.191, 0.14))  # RGB, flow: mean, deviation, channel spread


@dataclass(frozen=True)
class World:
    """What all videos of a data set share.

    Attributes:
        prototypes: (P, K), a BLOCK per class (sub-actions in order, the view before an action, the
            view after it), then SCENES.
        mixing: (K, D), response of every channel to every factor.
        mean, deviation: (D,), of each channel before it is rectified and cubed.
    """

    prototypes: Floats
    mixing: Floats
    mean: Floats
    deviation: Floats


def make_world(seed: int, classes: int) -> World:
    """Draws prototypes and channels; those of a class do not depend on the number of classes."""
    rng = generator(seed, "world")
    motions, scenes = latent_points(rng, MOTIONS), latent_points(rng, SCENES)
    prototypes: list[Floats] = []
    for label in range(classes):
        own = generator(seed, f"class {label}")
        setting = latent_points(own, 1)
        prototypes.append(
            MOTION**0.5 * motions[own.permutation(MOTIONS)[:STAGES]]
            + STAGE**0.5 * latent_points(own, STAGES)
            + LOOK**0.5 * latent_points(own, 1)
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


def generator(seed: int, name: str) -> Generator:
    """A random number generator for one purpose, independent of those for other purposes."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def latent_points(rng: Generator, number: int) -> Floats:
    """(number, K) independent points; their variance decreases with the factor and sums to one."""
    scale = np.arange(1, FACTORS + 1) ** -FACTOR_DECAY
    scale /= np.linalg.norm(scale)
    return rng.standard_normal((number, FACTORS), dtype=np.float32) * scale.astype(np.float32)
