"""Computes the features of videos as the network of a checkpoint wants them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dataset.features.files import PLAIN
from dataset.from_config import feature_form
from prediction.options import Options
from prediction.predictor import Predictor
from utils.errors import UserError
from utils.files import write_atomically
from utils.progress import progress_bar

if TYPE_CHECKING:
    from extraction.extractor import Extractor


def make_extractor(options: Options, predictor: Predictor) -> "Extractor":
    """The I3D networks whose features have the channels, frame rate and stride of a checkpoint.

    Args:
        options: Weights of the networks, and which of them to use.
        predictor: Network that gets the features.

    Raises:
        UserError: If I3D cannot give features of this width, or its weights cannot be read.
    """
    from extraction.extractor import open_extractor  # only videos need it
    from extraction.i3d import FEATURE_DIM
    from extraction.snippets import SnippetSettings
    from extraction.weights import FILES

    config = predictor.config
    streams = _streams(options, predictor, FEATURE_DIM)
    given = {"rgb": options.rgb_weights, "flow": options.flow_weights}
    weights = {s: given[s] or Path(FILES[s]) if s in streams else None for s in FILES}
    if config.snippet_timing == "duration":
        print(
            "warning: the network was trained with --snippet_timing duration; the features of "
            f"videos are computed every {config.snippet_seconds:g} s "
            "(--snippet_frames, --frames_per_second) and not rescaled"
        )
    if options.save_features and feature_form(config) != PLAIN:
        print(
            "the features of videos are saved RGB first, as (snippets, channels); predict the "
            "files with --channel_order rgb_flow --feature_axes TD"
        )
    settings = SnippetSettings(
        frames_per_second=config.frames_per_second,
        snippet_frames=options.window_frames,
        stride=config.snippet_frames,
    )
    workers = os.cpu_count() or 1
    batch = options.extraction_batch
    print(
        f"features of videos: I3D, {' and '.join(streams)}, {options.window_frames} frames every "
        f"{config.snippet_frames} at {config.frames_per_second:g} frames per second"
    )
    return open_extractor(
        weights["rgb"], weights["flow"], settings, predictor.device, batch, workers
    )


def _streams(options: Options, predictor: Predictor, width: int) -> tuple[str, ...]:
    """The streams of the features, RGB first."""
    wanted = predictor.feature_dim
    if wanted not in (width, 2 * width):
        raise UserError(
            f"the network of {options.checkpoint} wants {wanted} channels, and I3D gives {width} "
            f"per stream, so videos cannot be predicted; give feature files with {wanted} channels"
        )
    streams = {"rgb": ("rgb",), "flow": ("flow",), "both": ("rgb", "flow")}
    name = options.streams
    if name == "auto":
        only_flow = options.flow_weights is not None and options.rgb_weights is None
        name = "both" if wanted == 2 * width else "flow" if only_flow else "rgb"
    if len(streams[name]) * width != wanted:
        raise UserError(
            f"--streams {name} gives {len(streams[name]) * width} channels, and the network of "
            f"{options.checkpoint} wants {wanted}; choose "
            f"{'both' if wanted == 2 * width else 'rgb or flow'}"
        )
    return streams[name]


def extract(extractor: "Extractor", video: Path, description: str) -> NDArray[np.float32]:
    """Features of a video, (N, D), with a progress bar in snippets.

    Raises:
        UserError: If the video cannot be read.
    """
    from extraction.video import probe

    seconds = probe(video).seconds
    rate = extractor.settings.frames_per_second
    expected = extractor.settings.number(round(seconds * rate)) if seconds else 0
    with progress_bar(expected, "snippet", description) as bar:

        def batches() -> Iterator[NDArray[np.float32]]:
            for batch in extractor.batches(video):
                bar.update(len(batch))
                yield batch

        return np.concatenate(list(batches()))


def save_features(folder: Path, name: str, features: NDArray[Any]) -> None:
    """Writes the features of a video, so that they need not be computed again."""
    write_atomically(folder / f"{name}.npy", lambda file: np.save(file, features))
