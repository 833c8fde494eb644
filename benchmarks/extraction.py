"""Feature extraction: the I3D network against its floor and a plain module, and whole videos.

    python benchmarks/extraction.py

First checks that the network of the extraction gives the same features as a plain module of the
same layers, with batch norms and contiguous tensors. Then prints how long a snippet of 16 RGB
frames takes in each, beside the floor: the products of the convolutions at the rate of a plain
matrix product. Last, the time for whole videos, from the file to the features, beside the network
alone. The weights are random: they do not affect the time.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measuring import matmul_rate
from extraction.extractor import Extractor
from extraction.i3d import I3D
from extraction.snippets import SnippetSettings
from extraction.video import resampled_frames
from utils.device import Device, choose_device
from utils.errors import command

FRAMES, SIDE = 16, 224
TOLERANCE = 1e-4  # relative to the largest feature


@command("benchmarks/extraction.py")
def main() -> None:
    """Checks equality, then times the network and whole videos."""
    options = _parser().parse_args()
    device = choose_device(options.device, "0", options.precision)
    print(f"torch {torch.__version__}, {device}, batches of {options.batch_size} snippets")
    torch.manual_seed(0)
    plain = _random_network().to(device.device).eval()
    ours = _random_network()
    ours.load_state_dict(plain.state_dict())
    extractor = Extractor({"rgb": ours}, SnippetSettings(), device, options.batch_size)
    network = _compare_networks(plain, extractor, device, options.rounds)
    if options.seconds:
        _time_videos(extractor, network, options)


def _random_network() -> I3D:
    """An RGB network whose activations keep their scale from layer to layer."""
    net = I3D(3)
    for values in net.parameters():
        if values.dim() > 1:
            torch.nn.init.kaiming_normal_(values)
    return net


@torch.inference_mode()
def _compare_networks(plain: I3D, extractor: Extractor, device: Device, rounds: int) -> float:
    """Prints seconds per snippet of both networks and the floor; returns those of ours."""
    size = extractor.batch_size
    clips = np.random.default_rng(0).integers(0, 256, (size, FRAMES, SIDE, SIDE, 3), np.uint8)

    def plain_features() -> torch.Tensor:
        values = torch.from_numpy(clips).to(device.device).permute(0, 4, 1, 2, 3).contiguous()
        with device.autocast():
            return plain(values.float().div(127.5).sub(1)).features

    def our_features() -> np.ndarray:
        return extractor.compute({"rgb": clips})

    expected = plain_features().cpu().numpy()
    error = np.abs(our_features() - expected).max() / np.abs(expected).max()
    if device.precision == "fp32" and error > TOLERANCE:
        raise SystemExit(f"the networks differ: {error:.1e} of the largest feature")
    print(f"largest difference of a feature: {error:.1e} of the largest feature")
    with FlopCounterMode(display=False) as counter:
        plain_features()
    operations = counter.get_total_flops() / size
    slow, fast = (s / size for s in _medians(rounds, device, plain_features, our_features))
    floor = operations / matmul_rate(device)
    print(f"one snippet: {operations / 1e9:.1f} GFLOP in the convolutions")
    print(f"  floor, at the rate of a plain product   {floor * 1e3:7.3g} ms")
    print(f"  network of the extraction               {fast * 1e3:7.3g} ms  {fast / floor:.2f} x")
    print(f"  plain module of the same layers         {slow * 1e3:7.3g} ms  {slow / floor:.2f} x")
    print(f"the extraction's network takes {fast / slow:.2f} of the time of the plain module")
    return fast


def _medians(rounds: int, device: Device, *calls: Callable[[], object]) -> list[float]:
    """Median time of each call in seconds; the calls alternate."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds + 1):  # the first round warms up
        for times, call in zip(seconds, calls, strict=True):
            device.synchronize()
            start = time.perf_counter()
            call()
            device.synchronize()
            times.append(time.perf_counter() - start)
    return [statistics.median(times[1:]) for times in seconds]


def _time_videos(extractor: Extractor, network: float, options: argparse.Namespace) -> None:
    """Prints the time from a video file to its features beside that of the network alone."""
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder, "video.mp4")
        width, height = options.size
        _write_video(video, options.seconds, width, height)
        snippets = len(extractor(video))
        clips = np.zeros((extractor.batch_size, FRAMES, SIDE, SIDE, 3), np.uint8)
        full = -(-snippets // extractor.batch_size)

        def decode() -> None:
            for _ in resampled_frames(video, 25.0):
                pass

        def compute() -> None:
            for _ in range(full):
                extractor.compute({"rgb": clips})

        decoding, alone, whole = _medians(
            options.video_rounds, extractor.device, decode, compute, lambda: extractor(video)
        )
    alone *= snippets / (full * extractor.batch_size)
    print(f"video of {options.seconds} s, {width} x {height} H.264 at 30 fps: {snippets} snippets")
    for name, seconds in (("decoding alone", decoding), ("network alone", alone)):
        print(f"  {name:25}{seconds / snippets * 1e3:8.0f} ms per snippet")
    print(
        f"  {'from file to features':25}{whole / snippets * 1e3:8.0f} ms per snippet, "
        f"{snippets / whole:.2f} snippets per second, {whole / alone:.2f} x the network alone"
    )


def _write_video(path: Path, seconds: int, width: int, height: int) -> None:
    """Writes a video of a moving pattern with noise, which compresses like a filmed one."""
    import av  # not above: the networks are timed without it as well

    random = np.random.default_rng(0)
    pattern = random.integers(0, 256, (height // 8 + 1, width // 4 + 1, 3)).astype(np.uint8)
    pattern = np.kron(pattern, np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(30 * seconds):
            shift = number % width
            frame = pattern[:height, shift : shift + width]
            noisy = frame + random.integers(0, 8, frame.shape, np.uint8) // 2
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        container.mux(stream.encode(None))


def _parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "fp32", "tf32", "bf16"), default="auto")
    parser.add_argument("--batch_size", type=int, default=4, help="snippets at a time")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of the networks")
    parser.add_argument("--seconds", type=int, default=20, help="length of the video; 0: no video")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), help="width and height")
    parser.add_argument("--video_rounds", type=int, default=3, help="timed rounds of the video")
    return parser


if __name__ == "__main__":
    main()
