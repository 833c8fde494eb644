"""Mistakes in the use of `python -m extraction`."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from fractions import Fraction
from functools import partial
from pathlib import Path
from unittest.mock import MagicMock, patch

import av
import cv2
import numpy as np
import torch

from extraction.extractor import Extractor
from extraction.i3d import FEATURE_DIM
from extraction.snippets import SnippetSettings
from extraction.weights import FIRST, load_i3d
from tests.bad_inputs.case import EXTRACTION, BadInput
from tests.bad_inputs.prediction import missing
from tests.disks import read_only
from tests.video_files import write_silence, write_video
from utils.device import Device

FILE = Path("videos", "video.mkv")
VIDEOS = "--videos videos"
FLOW = f"{VIDEOS} --streams flow --flow_weights rgb.pt"
SETTINGS = "features/extraction.json"
USUAL = '"fps": 25.0, "snippet_frames": 16, "stride": 16, "last": "drop"'
Write = Callable[[Path], object]


@contextmanager
def opened() -> Iterator[None]:
    """Lets all features be 1, without a network."""

    def open_extractor(rgb: object, flow: object, settings: SnippetSettings, *_: object) -> object:
        return Extractor({"rgb": MagicMock()}, settings, Device(torch.device("cpu"), "fp32"))

    with (
        patch("extraction.command.open_extractor", open_extractor),
        patch.object(Extractor, "compute", lambda _, c: np.ones((len(c["rgb"]), FEATURE_DIM))),
    ):
        yield


@contextmanager
def without_tvl1() -> Iterator[None]:
    """Simulates the OpenCV that lacks the contributed modules."""
    flow = cv2.optflow
    del cv2.optflow
    try:
        with patch("extraction.flow._thread", threading.local()):  # it keeps the algorithm
            yield
    finally:
        cv2.optflow = flow


def only_rgb(path: Path, stream: str) -> object:
    """Reads no weights of RGB, but those of the flow network."""
    return load_i3d(path, stream) if stream == "flow" else None


@contextmanager
def read_only_output() -> Iterator[None]:
    """Needs no network, and cannot write."""
    with opened(), read_only("features"):
        yield


def video(write: Write, path: Path = FILE) -> Callable[[], None]:
    """Writes the only video of the folder, and a file of weights."""

    def apply() -> None:
        path.parent.mkdir()
        write(path)
        Path("rgb.pt").write_bytes(b"weights")

    return apply


def pictures(number: int) -> Write:
    """Writes a video of this many pictures, 25 per second."""
    return lambda path: write_video(path, range(number), Fraction(1, 25), codec="mpeg4")


def valid() -> None:
    """Writes a video at which nothing is wrong."""
    video(pictures(20))()


def silence(path: Path) -> None:
    """Writes a file that has no video stream."""
    with av.open(str(path), "w") as container:
        write_silence(container, 0.1)


def truncated(path: Path) -> None:
    """Writes the first half of a file whose index is at its end."""
    pictures(20)(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def two_of_one_name() -> None:
    """Two files whose names differ only in their suffix."""
    valid()
    FILE.with_suffix(".avi").touch()


def earlier(file: str, write: Write) -> Callable[[], None]:
    """A valid video, and a file of an earlier extraction."""

    def apply() -> None:
        valid()
        Path(file).parent.mkdir(parents=True)
        write(Path(file))

    return apply


def weights(content: object) -> Callable[[], None]:
    """A valid video, and this content in the file of weights."""

    def apply() -> None:
        valid()
        torch.save(content, "rgb.pt")

    return apply


Context = Callable[[], AbstractContextManager[object]]


def extracted(
    mistake: str,
    flags: str = VIDEOS,
    spoil: Callable[[], object] = valid,
    around: Context = nullcontext,
    leaves: tuple[str, ...] = (),
    status: int = 2,
) -> BadInput:
    """A mistake; without `spoil` it is not in the video."""
    return BadInput(mistake, flags, spoil, around, EXTRACTION, leaves, status=status)


unreadable = partial(extracted, around=opened, leaves=(SETTINGS,), status=1)

EXTRACTING = [
    extracted("no `--videos`", ""),
    extracted("`--videos nowhere`", "--videos nowhere"),
    extracted("`--videos data`, a folder without videos", "--videos data"),
    extracted("two videos of one name", spoil=two_of_one_name),
    extracted("`--fps 0`", f"{VIDEOS} --fps 0"),
    extracted("`--stride two`", f"{VIDEOS} --stride two"),
    extracted("`--workers -1`", f"{VIDEOS} --workers -1"),
    extracted("`--snippet_frames 8`", f"{VIDEOS} --snippet_frames 8", around=opened),
    extracted("no weights of this name", f"{VIDEOS} --rgb_weights nowhere.pt"),
    extracted(
        "both streams, but no weights of the flow network",
        f"{VIDEOS} --streams both",
        around=lambda: patch("extraction.extractor.load_i3d", only_rgb),
    ),
    extracted("weights that are no file of torch"),
    extracted("a checkpoint of main_thu.py as weights", f"{VIDEOS} --rgb_weights good.pth"),
    extracted(
        "the weights of the other stream", spoil=weights({FIRST: torch.ones(64, 2, 7, 7, 7)})
    ),
    extracted("PyAV is not installed", around=lambda: missing("av")),
    extracted("OpenCV is not installed", FLOW, around=lambda: missing("cv2")),
    extracted(
        "an OpenCV without TV-L1",
        FLOW,
        around=without_tvl1,
    ),
    extracted("`--output good.pth`, a file", f"{VIDEOS} --output good.pth", around=opened),
    extracted("a read-only output directory", around=read_only_output),
    extracted(
        "an output directory of the flow network",
        spoil=earlier(SETTINGS, lambda path: path.write_text(f'{{{USUAL}, "rgb_weights": null}}')),
        around=opened,
    ),
    extracted(
        "an output directory with features of other settings",
        spoil=earlier(SETTINGS, lambda path: path.write_text('{"fps": 30.0}')),
        around=opened,
    ),
    extracted(
        "a feature file of other channels in the output directory",
        spoil=earlier("features/features/video.npy", lambda path: np.save(path, np.ones((3, 7)))),
        around=opened,
        leaves=(SETTINGS,),
    ),
    unreadable("an empty video", spoil=video(Path.touch)),
    unreadable("a text file named like a video", spoil=video(lambda path: path.write_text("text"))),
    unreadable("a truncated MP4 file", spoil=video(truncated, Path("videos", "video.mp4"))),
    unreadable("a video with sound only", spoil=video(silence)),
    unreadable("a video shorter than a snippet", spoil=video(pictures(9))),
]
