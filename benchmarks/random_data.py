"""Random features in the form of a split of a data set."""

import torch
from torch import Tensor

from dataset.dataset import Split
from dataset.features.store import FeatureStore
from dataset.videos import Video


def random_split(lengths: Tensor, channels: int, labels: Tensor, dtype: torch.dtype) -> Split:
    """Makes a split of random features, the same ones in every call, on the CPU.

    Args:
        lengths: (V,) int64, number of snippets of each video.
        channels: Channels of a snippet.
        labels: (V, C) float, 1 where the class occurs in the video.
        dtype: Type of the snippets.
    """
    generator = torch.Generator().manual_seed(0)
    snippets = torch.rand(int(lengths.sum()), channels, generator=generator).to(dtype)
    store = FeatureStore(snippets, lengths.cumsum(0) - lengths, lengths, dtype)
    videos = [Video(f"video_{i}", "train", 60.0, ()) for i in range(len(lengths))]
    return Split(videos, store, labels, {})
