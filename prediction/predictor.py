"""A trained network that finds segments in the features of any video.

Letters: N snippets of a video, D channels, C action classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from config.model_config import Config
from dataset.dataset import Split
from dataset.features.files import PLAIN, form_problem, in_form
from dataset.features.store import Features, FeatureStore
from dataset.from_config import feature_form
from dataset.sampling import uniform_rows
from dataset.videos import Video
from engine import predict
from eval.localization import localize
from eval.scores import VideoScores
from eval.segments import Segments
from prediction.segments import PredictedSegment, segment_list
from utils.device import Device
from utils.errors import UserError

NEEDS_DURATION = (
    "the settings are --snippet_timing duration, and features do not tell the duration of their "
    "video; give --durations FILE, or --snippet_timing stride with the stride of the features"
)


@dataclass(frozen=True)
class Predictor:
    """Finds segments in the features of any video.

    Attributes:
        net: Network, on the device.
        classes: Names of the C classes in index order.
        feature_dim: Channels of a snippet (D).
        config: Settings, those of the checkpoint unless overridden.
        device: Device of the network.
    """

    net: nn.Module
    classes: tuple[str, ...]
    feature_dim: int
    config: Config
    device: Device

    def __call__(
        self, features: ArrayLike, duration: float | None = None
    ) -> list[PredictedSegment]:
        """Segments of one video by descending score.

        Args:
            features: (N, D) snippets, in any floating-point type; channels and axes are ordered as
                in the feature files of the training (`--channel_order`, `--feature_axes`).
            duration: Seconds; needed only with `snippet_timing="duration"`.

        Raises:
            UserError: If the features have another shape or are not finite.
        """
        array, form = np.asarray(features), feature_form(self.config)
        if form != PLAIN:
            if problem := form_problem(Path("features"), array.shape, form):
                raise UserError(problem)
            array = in_form(array, form, slice(None))
        split = self.split_of_arrays({"features": array})
        if self.config.snippet_timing == "duration":
            if duration is None:
                raise UserError(f"duration: {NEEDS_DURATION}")
            split = replace(split, spans=(duration,))
        scores = self.score(split)
        if problem := self.problem(scores[0]):
            raise UserError(problem)
        return segment_list(self.localize(scores))

    def split_of_arrays(self, arrays: Mapping[str, ArrayLike]) -> Split:
        """Puts the features of some videos, (N, D) by name, into a split on the device.

        The channels are RGB first, and the times follow from the stride of the settings.

        Raises:
            UserError: If features have another shape or are not finite.
        """
        checked = [self._checked(name, np.asarray(array)) for name, array in arrays.items()]
        lengths = torch.tensor([len(array) for array in checked])
        dtype = self.device.storage_dtype
        snippets = torch.from_numpy(np.concatenate(checked)).to(dtype)
        store = FeatureStore(snippets, lengths.cumsum(0) - lengths, lengths, dtype)
        return self._split(list(arrays), store)

    def split(
        self, names: Sequence[str], features: Features, durations: Mapping[str, float | None]
    ) -> Split:
        """Puts features that were checked into a split on the device.

        Args:
            names: Names of the videos.
            features: Their features.
            durations: Their durations in seconds, read only with `--snippet_timing duration`.

        Raises:
            UserError: If a duration is needed and unknown.
        """
        split = self._split(names, features)
        if self.config.snippet_timing != "duration":
            return split
        spans = tuple(durations.get(name) for name in names)
        if None in spans:
            raise UserError(f"{names[spans.index(None)]}: {NEEDS_DURATION}")
        return replace(split, spans=spans)

    def _split(self, names: Sequence[str], features: Features) -> Split:
        videos = [Video(name, "", None, ()) for name in names]
        no_labels = torch.zeros(len(names), len(self.classes))
        return Split(videos, features, no_labels, {}).to(self.device.device)

    def score(
        self, split: Split, after_videos: Callable[[int], object] = lambda count: None
    ) -> list[VideoScores]:
        """Scores of the videos of a split, as in the evaluation of a checkpoint."""
        return predict(self.net, split, self.config.num_snippets, self.device, after_videos)

    def problem(self, video: VideoScores) -> str:
        """Why a scored video cannot be localized; "" if it can."""
        if video.is_finite:
            return ""
        return (
            f"{video.name}: the network gives scores that are not finite; its features are far "
            "larger than those of the training, or the training has diverged"
        )

    def sampled(self, features: Features) -> list[Tensor]:
        """The snippets (1, T, D) of each video that the network gets."""
        lengths = features.lengths.tolist()
        rows = [uniform_rows(length, self.config.num_snippets) for length in lengths]
        return [
            features.gather(torch.tensor([number]), index[None])
            for number, index in enumerate(rows)
        ]

    def localize(self, scores: Sequence[VideoScores]) -> Segments:
        """Segments of scored videos, as in the evaluation of a checkpoint."""
        return localize(scores, self.classes, self.config.localization)

    def width_problem(self, shape: tuple[int, ...]) -> str:
        """What is wrong with features of this shape; "" if nothing is."""
        if len(shape) != 2:
            return f"has shape {shape}, wanted 2 dimensions (snippets, channels)"
        if 0 in shape:
            return f"is empty: shape {shape}, wanted at least one snippet"
        if shape[1] == self.feature_dim:
            return ""
        return (
            f"has {shape[1]} channels, and the network of {self.config.checkpoint} wants "
            f"{self.feature_dim}; give features made like those of its training"
        )

    def _checked(self, name: str, features: NDArray[Any]) -> NDArray[np.float32]:
        if problem := self.width_problem(features.shape):
            raise UserError(f"{name} {problem}")
        if features.dtype.kind not in "fiu":
            raise UserError(f"{name} holds {features.dtype}, wanted numbers")
        with np.errstate(over="ignore"):  # becomes infinite, which is reported
            features = features.astype(np.float32, copy=False)
        if not np.isfinite(features).all():
            raise UserError(f"{name} has NaN or infinite values; extract the features again")
        return features
