"""Reading of videos and optical flow: time per frame, and what the chosen method changes.

    python benchmarks/video.py [--video FILE]

Frames: how long decoding takes and how long the conversion to the 224 x 224 RGB frame takes, with
libswscale (used) and with a conversion at full size followed by OpenCV, beside the mean difference
of each from resizing the full-size frame with exact, averaging bilinear weights.

Flow: TV-L1 on the whole resized frame and on its central square (used), with the difference inside
the 224 x 224 crop; then one and several threads (used) against as many processes; all must give
the same flow. Without --video, a moving random texture is written and read.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from extraction.decoding import DecodingStatistics, open_video
from extraction.flow import LARGEST_PIXELS, Flow, Gray, flow_frames, flow_of, gray_of
from extraction.frames import CROP, SMALLER_SIDE, FrameSize, central_crop, resized_shape, rgb_frame
from extraction.optional import optional_import
from extraction.video import resampled_frames
from utils.errors import command

WHOLE = FrameSize(crop=None)


@command("benchmarks/video.py")
def main() -> None:
    """Times the conversion of frames and the flow."""
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or _write_texture(Path(folder) / "texture.mkv")
        _time_frames(video, options.frames)
        frames = [gray_of(f) for f in islice(resampled_frames(video, 25, WHOLE), options.flows + 1)]
    pairs = [pair for pair in pairwise(frames) if not np.array_equal(*pair)]
    _compare_regions(pairs)
    squares = [central_crop(frame, SMALLER_SIDE) for frame in frames]
    _compare_workers(squares, options.workers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--video", type=Path, help="video file to read; default: a random texture")
    parser.add_argument("--frames", type=int, default=200, help="pictures to decode and convert")
    parser.add_argument("--flows", type=int, default=12, help="pairs of frames for the flow")
    parser.add_argument("--workers", type=int, default=2, help="threads and processes to compare")
    return parser


def _time_frames(video: Path, number: int) -> None:
    """Prints the time of decoding and of both conversions, and their errors."""
    with open_video(video) as source:
        start = time.perf_counter()
        pictures = [item.picture for item in islice(source.pictures(DecodingStatistics()), number)]
        decoding = (time.perf_counter() - start) / len(pictures)
        aspect = source.pixel_aspect
    first = pictures[0]
    print(f"{first.width} x {first.height}, {first.format.name}: {1e3 * decoding:.2f} ms to decode")
    methods: dict[str, Callable[[Any], NDArray[np.uint8]]] = {
        "libswscale in one step": lambda p: rgb_frame(p, aspect, None, FrameSize()),
        "full size, then OpenCV": lambda p: _with_opencv(p, aspect),
    }
    exact = _exact(first, aspect)
    for name, convert in methods.items():
        error = np.abs(convert(first) - exact).mean()
        start = time.perf_counter()
        for picture in pictures:
            convert(picture)
        seconds = (time.perf_counter() - start) / len(pictures)
        print(f"  {name}: {1e3 * seconds:.2f} ms, mean difference {error:.2f} of 255")


def _full_size(picture: Any) -> NDArray[np.uint8]:
    """The picture in RGB as it is stored."""
    return rgb_frame(
        picture, Fraction(1), None, FrameSize(min(picture.width, picture.height), None)
    )


def _with_opencv(picture: Any, aspect: Fraction) -> NDArray[np.uint8]:
    """Conversion to RGB first, then bilinear interpolation of neighboring pixels."""
    shape = resized_shape(picture.width, picture.height, aspect, SMALLER_SIDE)
    return central_crop(optional_import("cv2").resize(_full_size(picture), shape), CROP)


def _exact(picture: Any, aspect: Fraction) -> NDArray[np.float32]:
    """Floating-point bilinear weights that average when the picture is made smaller."""
    from PIL import Image

    shape = resized_shape(picture.width, picture.height, aspect, SMALLER_SIDE)
    full = _full_size(picture).astype(np.float32)
    channels = [
        np.asarray(Image.fromarray(full[..., c]).resize(shape, Image.Resampling.BILINEAR))
        for c in range(3)
    ]
    return central_crop(np.stack(channels, axis=-1), CROP)


def _compare_regions(pairs: list[tuple[Gray, Gray]]) -> None:
    """Prints the time of flow on the whole frame and on its square, and their difference."""
    whole, seconds = _flows(pairs)
    height, width = pairs[0][0].shape
    size = float(np.abs(whole).mean()) * LARGEST_PIXELS
    print(f"flow of {width} x {height}: {seconds:.2f} s, mean displacement {size:.2f} pixels")
    for side in (SMALLER_SIDE, CROP):
        squares = [(central_crop(a, side), central_crop(b, side)) for a, b in pairs]
        found, seconds = _flows(squares)
        error = np.abs(found - whole) * LARGEST_PIXELS
        print(
            f"  {side} x {side}: {seconds:.2f} s, difference mean {error.mean():.3f}, "
            f"99th percentile {np.percentile(error, 99):.2f} pixels"
        )


def _flows(pairs: list[tuple[Gray, Gray]]) -> tuple[Flow, float]:
    """Cropped flow of each pair, and seconds per pair in one thread."""
    flow_of(*pairs[0])
    start = time.perf_counter()
    flows = [flow_of(*pair) for pair in pairs]
    seconds = (time.perf_counter() - start) / len(pairs)
    return np.stack([central_crop(flow, CROP) for flow in flows]), seconds


def _compare_workers(frames: list[Gray], workers: int) -> None:
    """Prints the time per frame of one thread, of several, and of as many processes."""
    number = len(frames) - 1
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        list(pool.map(flow_of, frames[:workers], frames[1 : workers + 1]))  # starts the processes
        with _timed("1 thread", number):
            expected = list(flow_frames(frames, 0))
        with _timed(f"{workers} threads", number):
            threads = list(flow_frames(frames, workers))
        with _timed(f"{workers} processes", number):
            processes = list(pool.map(flow_of, frames[:-1], frames[1:]))
    cropped = [central_crop(flow, CROP) for flow in processes]
    if not np.array_equal(threads, expected) or not np.array_equal(cropped, expected[:-1]):
        raise SystemExit("threads or processes give another flow than one thread")


@contextmanager
def _timed(name: str, number: int) -> Iterator[None]:
    """Prints the time per frame of the block."""
    start = time.perf_counter()
    yield
    print(f"flow, {name}: {(time.perf_counter() - start) / number:.2f} s per frame")


def _write_texture(path: Path) -> Path:
    """Writes a 320 x 240 video of a smooth random texture that moves."""
    av, cv2 = optional_import("av"), optional_import("cv2")
    noise = np.random.default_rng(0).random((480, 640, 3)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qscale": "4"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for n in range(60):
            turn = cv2.getRotationMatrix2D(
                (320, 240), 10 * np.sin(n / 9), 1.2 + 0.2 * np.cos(n / 7)
            )
            pixels = cv2.warpAffine(texture, turn, (640, 480))[120:360, 160:480].astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    main()
