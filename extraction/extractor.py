"""From a video file to I3D features.

Letters: B snippets of a batch, L frames of a snippet, T snippets of a video, D channels.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from extraction.ahead import ahead
from extraction.decoding import DecodingStatistics
from extraction.flow import FLOW_SIZE, check_flow, flow_frames, gray_of
from extraction.frames import CROP, central_crop
from extraction.i3d import FEATURE_DIM, I3D, MIN_FRAMES
from extraction.optional import optional_import
from extraction.snippets import SnippetSettings, batches, snippets
from extraction.video import resampled_frames
from extraction.weights import CHANNELS, load_i3d
from utils.device import Device
from utils.errors import UserError

BATCHES_AHEAD = 2  # decoded while the network computes


class Extractor:
    """Computes the features of videos with one or two I3D networks.

    Args:
        networks: I3D for "rgb", "flow" or both; the features are concatenated in this order.
        settings: Which frames a snippet consists of.
        device: Device and precision of the networks.
        batch_size: Snippets computed at a time.
        workers: Threads that compute the flow; 0 computes it where videos are decoded.

    Attributes:
        feature_dim: Channels of a feature (D).
    """

    def __init__(
        self,
        networks: Mapping[str, I3D],
        settings: SnippetSettings,
        device: Device,
        batch_size: int = 4,
        workers: int = 1,
    ) -> None:
        if settings.snippet_frames < MIN_FRAMES:
            raise UserError(
                f"--snippet_frames {settings.snippet_frames}: I3D needs {MIN_FRAMES} or more"
            )
        self.networks = {s: _prepared(networks[s], device) for s in CHANNELS if s in networks}
        self.settings = settings
        self.device = device
        self.batch_size = batch_size
        self.workers = workers
        self.feature_dim = FEATURE_DIM * len(self.networks)

    def __call__(self, video: Path) -> NDArray[np.float32]:
        """Features of a video, (T, D).

        Raises:
            UserError: If the video cannot be read or is shorter than a snippet.
        """
        return np.concatenate(list(self.batches(video)))

    def batches(self, video: Path) -> Iterator[NDArray[np.float32]]:
        """Yields the features of a video batch by batch, (B, D), in constant memory.

        Raises:
            UserError: If the video cannot be read or is shorter than a snippet.
        """
        found = False
        with closing(ahead(self._clips(video), BATCHES_AHEAD)) as decoded:
            for clips in decoded:
                found = True
                yield self.compute(clips)
        if not found:
            length = self.settings.snippet_frames / self.settings.frames_per_second
            raise UserError(
                f"{video}: shorter than one snippet ({length:.2f} s); "
                "python -m extraction --last pad completes it"
            )

    @torch.inference_mode()
    def compute(self, clips: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Features of a batch of snippets.

        Args:
            clips: By stream: "rgb" (B, L, 224, 224, 3) uint8, "flow" (B, L, 224, 224, 2) float in
                [-1, 1].

        Returns:
            (B, D), RGB first.
        """
        features = []
        for stream, net in self.networks.items():
            values = torch.from_numpy(clips[stream]).to(self.device.device)
            if values.dtype == torch.uint8:
                values = values.float().div_(127.5).sub_(1)
            values = values.permute(0, 4, 1, 2, 3)  # (B, C, L, 224, 224), channels last in memory
            if not self.device.on_cpu:
                values = values.contiguous()
            with self.device.autocast():
                features.append(net(values).features)
        return torch.cat(features, dim=1).cpu().numpy()

    def _clips(self, video: Path) -> Iterator[dict[str, NDArray[Any]]]:
        """Yields the clips of each batch of snippets by stream."""
        with closing(self._frames(video)) as frames:
            for batch in batches(snippets(frames, self.settings), self.batch_size):
                yield {
                    stream: np.stack([np.stack([frame[stream] for frame in s]) for s in batch])
                    for stream in self.networks
                }

    def _frames(self, video: Path) -> Generator[dict[str, NDArray[Any]], None, None]:
        """Yields each frame of the video by stream, at the rate of the settings."""
        statistics = DecodingStatistics()
        rate = self.settings.frames_per_second
        if "flow" in self.networks:
            pictures, others = tee(resampled_frames(video, rate, FLOW_SIZE, statistics))
            flows = flow_frames(map(gray_of, others), self.workers)
            with closing(flows):  # ends its threads if the consumer stops early
                for picture, flow in zip(pictures, flows, strict=True):
                    yield {"rgb": central_crop(picture, CROP), "flow": flow}
        else:
            for picture in resampled_frames(video, rate, statistics=statistics):
                yield {"rgb": picture}
        for warning in statistics.warnings:
            print(f"warning: {video}: {warning}")


def open_extractor(
    rgb_weights: Path | None,
    flow_weights: Path | None,
    settings: SnippetSettings,
    device: Device,
    batch_size: int = 4,
    workers: int = 1,
) -> Extractor:
    """Loads the networks and returns the extractor.

    Args:
        rgb_weights: Checkpoint of the RGB network; None leaves RGB out.
        flow_weights: Checkpoint of the flow network; None leaves flow out.
        settings: Which frames a snippet consists of.
        device: Device and precision of the networks.
        batch_size: Snippets computed at a time.
        workers: Threads that compute the flow.

    Raises:
        UserError: If a package is missing, or if a checkpoint cannot be read or is not one of I3D.
    """
    optional_import("av")  # at once, not for every video
    if flow_weights is not None:
        check_flow()
    files = {"rgb": rgb_weights, "flow": flow_weights}
    networks = {s: load_i3d(file, s) for s, file in files.items() if file is not None}
    return Extractor(networks, settings, device, batch_size, workers)


def _prepared(net: I3D, device: Device) -> I3D:
    """The network on the device, with its batch norms folded."""
    net.fold_batch_norm()
    if device.on_cpu:  # 1.6 times as fast as contiguous weights (benchmarks/extraction.py)
        net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return net.to(device.device)
