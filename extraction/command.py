"""The command `python -m extraction`: from video files to I3D features.

    python -m extraction --videos videos --output data/mine

reads every video in the folder and writes one file (T, 2048) per video, RGB then flow: a data
directory for training, or features for predict.py. A video that is done is skipped, so that the
same command continues an extraction that was stopped, and several processes can share the work.
"""

import argparse
import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extraction.extractor import Extractor, open_extractor
from extraction.files import VideoFile, check_settings, find_videos, is_done, write_features
from extraction.snippets import SnippetSettings
from extraction.video import probe
from extraction.weights import FILES
from utils.device import choose_device
from utils.errors import UserError, command
from utils.files import remove_leftovers
from utils.progress import progress_bar

STREAMS = {"both": ("rgb", "flow"), "rgb": ("rgb",), "flow": ("flow",)}
OLD_SECONDS = 3600.0  # a temporary file that was not written to for so long has been left behind


@command("extraction")
def main() -> None:
    """Extracts the features of all videos; exits with status 1 if some cannot be read."""
    options = _parser().parse_args()
    streams = STREAMS[options.streams]
    videos = find_videos(options.videos, options.output)
    device = choose_device(options.device, options.gpu, options.precision)
    settings = SnippetSettings(
        options.fps,
        options.snippet_frames,
        options.stride,
        options.last == "pad",
    )
    weights = {s: getattr(options, f"{s}_weights") if s in streams else None for s in FILES}
    extractor = open_extractor(
        weights["rgb"], weights["flow"], settings, device, options.batch_size, options.workers
    )
    print(f"computing on {device}: {' and '.join(streams)}", flush=True)
    check_settings(options.output, _record(settings, weights, options.dtype))
    for folder in {video.target.parent for video in videos}:
        remove_leftovers(folder, older_than=OLD_SECONDS)
    waiting = [v for v in videos if not is_done(v.target, extractor.feature_dim)]
    if len(waiting) < len(videos):
        print(f"{len(videos) - len(waiting)} of {len(videos)} videos are done already")
    failed = _extract_all(extractor, waiting, options.dtype)
    _conclude(options.output, settings, videos, failed)
    sys.exit(1 if failed else 0)


def _extract_all(extractor: Extractor, videos: list[VideoFile], dtype: str) -> list[VideoFile]:
    """Extracts the videos, prints a line for each, and returns those that cannot be read."""
    failed = []
    total = sum(_expected(video.source, extractor.settings) for video in videos)
    with progress_bar(total, "snippet", "extracting") as bar:

        def counted(batches: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
            for batch in batches:
                bar.update(len(batch))
                yield batch

        for number, (source, target) in enumerate(videos, 1):
            if target.exists():  # another process has extracted it meanwhile
                continue
            began = time.perf_counter()
            bar.set_postfix_str(f"video {number} of {len(videos)}")
            try:
                batches = counted(extractor.batches(source))
                rows = write_features(target, batches, extractor.feature_dim, dtype)
            except UserError as error:
                failed.append(VideoFile(source, target))
                bar.write(f"extraction: error: {error}", file=sys.stderr)
                continue
            seconds = time.perf_counter() - began
            bar.write(
                f"[{number}/{len(videos)}] {source.name}: {rows} snippet{'s' * (rows != 1)}, "
                f"{rows / seconds:.2f} per second"
            )
            sys.stdout.flush()  # a log file shows how far the extraction is
    return failed


def _expected(video: Path, settings: SnippetSettings) -> int:
    """Number of snippets by the duration in the header of the video, for the progress bar."""
    try:
        seconds = probe(video).seconds
    except UserError:  # said when it is the turn of this video
        return 0
    return settings.number(round(seconds * settings.frames_per_second)) if seconds else 0


def _conclude(
    output: Path, settings: SnippetSettings, videos: list[VideoFile], failed: list[VideoFile]
) -> None:
    """Prints what is done, what failed, and the flags with which to train on the features."""
    folders = sorted({str(video.target.parent) for video in videos})
    print(f"{', '.join(folders)}: features of {len(videos) - len(failed)} of {len(videos)} videos")
    if failed:
        names = ", ".join(video.source.name for video in failed[:5])
        print(f"not extracted: {names}{', …' if len(failed) > 5 else ''} (errors above)")
    flags = [f"--data_dir {output}"]
    if settings.frames_per_second != 25:
        flags.append(f"--frames_per_second {settings.frames_per_second:g}")
    if settings.stride != 16:
        flags.append(f"--snippet_frames {settings.stride}")
    step = settings.stride / settings.frames_per_second
    print(f"one snippet every {step:g} s; train with: main_thu.py {' '.join(flags)} …")


def _record(
    settings: SnippetSettings, weights: dict[str, Path | None], dtype: str
) -> dict[str, Any]:
    """The settings that all features of a data directory must share, as plain values."""
    return {
        "fps": settings.frames_per_second,
        "snippet_frames": settings.snippet_frames,
        "stride": settings.stride,
        "last": "pad" if settings.pad else "drop",
        **{
            f"{stream}_weights": hashlib.sha256(path.read_bytes()).hexdigest() if path else None
            for stream, path in weights.items()
        },
        "dtype": dtype,
    }


def _parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(
        prog="extraction",
        description="I3D features of video files: one .npy file (snippets, 2048) per video.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--videos", type=Path, required=True, metavar="DIR", help="folder of videos; or one video"
    )
    files.add_argument(
        "--output", type=Path, required=True, metavar="DATA",
        help="data directory; videos in train/ and test/ go there, all others into features/",
    )  # fmt: skip
    files.add_argument(
        "--dtype", choices=("float16", "float32"), default="float16", help="type of the features"
    )
    network = parser.add_argument_group("networks")
    for stream, file in FILES.items():
        network.add_argument(
            f"--{stream}_weights", type=Path, default=Path(file), metavar="FILE",
            help=f"I3D checkpoint of the {stream} stream",
        )  # fmt: skip
    network.add_argument("--streams", choices=tuple(STREAMS), default="both", help="streams")
    snippet = parser.add_argument_group("snippets")
    snippet.add_argument(
        "--fps", type=_positive(float), default=25.0,
        help="frames per second to which videos are resampled, by their timestamps",
    )  # fmt: skip
    snippet.add_argument(
        "--snippet_frames", type=_positive(int), default=16, help="frames of a snippet"
    )
    snippet.add_argument(
        "--stride", type=_positive(int), default=16,
        help="frames from the start of a snippet to the start of the next",
    )  # fmt: skip
    snippet.add_argument(
        "--last", choices=("drop", "pad"), default="drop",
        help="an incomplete last snippet: drop it, or pad it by repeating the last frame",
    )  # fmt: skip
    speed = parser.add_argument_group("computation")
    speed.add_argument("--batch_size", type=_positive(int), default=4, help="snippets at a time")
    speed.add_argument(
        "--workers", type=_not_negative, default=os.cpu_count() or 1,
        help="threads that compute the flow; 0 computes it where videos are decoded",
    )  # fmt: skip
    speed.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="device")
    speed.add_argument("--gpu", default="0", metavar="N", help="index of the CUDA device")
    speed.add_argument(
        "--precision", choices=("auto", "fp32", "tf32", "bf16"), default="auto",
        help="arithmetic of the network; auto is tf32 on CUDA, fp32 on the CPU",
    )  # fmt: skip
    return parser


def _positive(kind: type[float]) -> Callable[[str], float]:
    """Reads a positive number of this type."""

    def read(text: str) -> float:
        value = kind(text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text}: wanted a positive number")
        return value

    read.__name__ = kind.__name__  # argparse names it in the message about other text
    return read


def _not_negative(text: str) -> int:
    """Reads zero or a positive integer."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text}: wanted 0 or more")
    return value


_not_negative.__name__ = "int"
