"""The features of a split, kept in memory or mapped from their files.

Letters: V videos of a split, N snippets of a video, R snippets of all videos together, D channels,
B videos of a batch, T sampled snippets.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset.features.files import SnippetFile


@dataclass(frozen=True)
class FeatureStore:
    """The snippets of all videos of a split in one tensor, video after video.

    Attributes:
        snippets: (R, D) float16 or float32, as in the files, or bfloat16; on the device.
        first: (V,) int64, index of the first snippet of each video; on the device.
        lengths: (V,) int64, number of snippets of each video (N); on the CPU.
        row_type: Type of gathered snippets, float32 or bfloat16.
    """

    snippets: Tensor
    first: Tensor
    lengths: Tensor
    row_type: torch.dtype = torch.float32

    @property
    def feature_dim(self) -> int:
        """Channels of a snippet (D)."""
        return self.snippets.shape[1]

    def to(self, device: torch.device) -> "FeatureStore":
        """Returns the same features on another device."""
        return replace(self, snippets=self.snippets.to(device), first=self.first.to(device))

    def gather(self, videos: Tensor, rows: Tensor) -> Tensor:
        """Returns the sampled snippets of some videos.

        Args:
            videos: (B,) int64, indices into the split, on the device.
            rows: (B, T) int64, indices of snippets within each video, on the device.

        Returns:
            (B, T, D) of `row_type`.
        """
        return self.snippets[self.first[videos][:, None] + rows].to(self.row_type)


@dataclass(frozen=True)
class MappedStore:
    """The same features as a `FeatureStore`, read from the files whenever they are needed.

    Attributes:
        files: Feature files of the V videos.
        file_type: float16 if all files are, else float32.
        lengths: (V,) int64, number of snippets of each video (N); on the CPU.
        workers: Number of threads that read.
        device: Device of gathered snippets.
        row_type: Type of gathered snippets, float32 or bfloat16.
    """

    files: Sequence[SnippetFile]
    file_type: torch.dtype
    lengths: Tensor
    workers: int
    device: torch.device
    row_type: torch.dtype = torch.float32

    @property
    def feature_dim(self) -> int:
        """Channels of a snippet (D)."""
        return self.files[0].shape[1]

    def to(self, device: torch.device) -> "MappedStore":
        """Returns the same features, to be gathered onto another device."""
        return replace(self, device=device)

    def gather(self, videos: Tensor, rows: Tensor) -> Tensor:
        """Returns what `FeatureStore.gather` returns, reading only these snippets.

        The indices are copied to the CPU, so the host waits for the device. A snippet that is
        read again comes from the page cache of the operating system.

        Raises:
            UserError: If a file has been removed or changed since it was checked.
        """
        shape = (*rows.shape, self.feature_dim)
        # Page-locked memory is copied to the device without an intermediate copy.
        found = torch.empty(shape, dtype=self.file_type, pin_memory=self.device.type != "cpu")

        def read(block: NDArray[Any], video: int, index: NDArray[np.int64]) -> None:
            block[...] = self.files[video].read(index)

        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(read, found.numpy(), videos.tolist(), rows.cpu().numpy()))
        return found.to(self.device, non_blocking=True).to(self.row_type)


Features: TypeAlias = FeatureStore | MappedStore
