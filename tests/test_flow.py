"""TV-L1 flow: values, scale, order, and the threads that compute it."""

import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from extraction.flow import Gray, flow_frames, flow_of, gray_of
from extraction.frames import central_crop
from utils.errors import UserError

SIDE = 96


def texture(seed: int = 0, side: int = 2 * SIDE, blur: float = 4) -> NDArray[np.float64]:
    """A smooth random picture with values from 0 to 255."""
    noise = np.random.default_rng(seed).random((side, side))
    smooth = gaussian_filter(noise, blur)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255


def shifted(picture: NDArray[np.float64], right: float, down: float) -> Gray:
    """The middle of a picture whose content is shifted by these pixels."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + SIDE / 2
    values = map_coordinates(picture, [rows - down, columns - right], order=3)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def opencv_flow(previous: Gray, following: Gray) -> NDArray[np.float32]:
    """The flow in pixels, as OpenCV computes it."""
    contributed: Any = cv2.optflow
    flow: NDArray[np.float32] = contributed.DualTVL1OpticalFlow_create().calc(
        previous, following, None
    )
    return flow


@pytest.mark.parametrize("shift", [(3, 0), (0, -2), (-4, 3), (0.5, 1.25)])
def test_flow_of_a_shifted_picture_is_the_shift(shift: tuple[float, float]) -> None:
    """Right and down are positive, right comes first; the unit is 20 pixels."""
    picture = texture()
    flow = flow_of(shifted(picture, 0, 0), shifted(picture, *shift))
    assert flow.shape == (SIDE, SIDE, 2)
    assert flow.dtype == np.float32
    inside = 20 * flow[16:-16, 16:-16]
    assert np.abs(inside - shift).mean() < 0.05
    assert np.abs(inside.mean(axis=(0, 1)) - shift).max() < 0.05


def test_flow_is_opencv_clipped_and_divided() -> None:
    """A motion of 24 pixels is cut to 1."""
    coarse = texture(1, 4 * SIDE, blur=12)
    first, second = shifted(coarse, 0, 0), shifted(coarse, 24, -1)
    plain = opencv_flow(first, second)
    assert plain.max() > 21
    flow = flow_of(first, second)
    assert flow.max() == 1
    assert np.array_equal(flow, np.clip(plain, -20, 20) / np.float32(20))


def test_a_repeated_picture_has_no_flow() -> None:
    """The short cut gives what TV-L1 gives."""
    gray = shifted(texture(), 0, 0)
    assert not flow_of(gray, gray.copy()).any()
    assert not opencv_flow(gray, gray).any()


def test_gray_is_the_luma_of_rgb() -> None:
    """Red is not taken for blue."""
    colors = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]], np.uint8)
    assert gray_of(colors).tolist() == [[76, 150, 29, 90]]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_one_flow_per_frame_in_order(workers: int) -> None:
    """Growing shifts; the last frame repeats the flow before it."""
    picture = texture()
    frames = [shifted(picture, n * (n - 1) / 2, 0) for n in range(6)]  # moves by 0, 1, 2, 3, 4
    flows = list(flow_frames(iter(frames), workers, crop=64))
    expected = [central_crop(flow_of(*pair), 64) for pair in pairwise(frames)]
    assert np.array_equal(flows, [*expected, expected[-1]])
    moves = [20 * flow[..., 0].mean() for flow in flows]
    assert moves == pytest.approx([0, 1, 2, 3, 4, 4], abs=0.1)


@pytest.mark.parametrize("workers", [0, 2])
def test_videos_of_one_frame_and_of_none(workers: int) -> None:
    """A single picture does not move."""
    frame = shifted(texture(), 0, 0)
    assert [flow.shape for flow in flow_frames([frame], workers, 64)] == [(64, 64, 2)]
    assert not next(flow_frames([frame], workers, 64)).any()
    assert list(flow_frames([], workers)) == []


def flow_threads() -> list[str]:
    """Names of the running threads that compute flow."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("flow")]


def test_frames_are_read_as_needed_and_threads_end() -> None:
    """A long video is never in memory; a consumer that stops leaves nothing behind."""
    picture = texture()
    read = []

    def frames() -> Iterator[Gray]:
        for n in range(1000):
            read.append(n)
            yield shifted(picture, n % 3, 0)

    flows = flow_frames(frames(), workers=2, crop=64)
    for _ in range(3):
        next(flows)
    assert len(read) <= 3 + 2 * 2 + 1
    assert len(flow_threads()) == 2
    flows.close()
    assert flow_threads() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_is_one_line_and_ends_the_threads(workers: int) -> None:
    """Of OpenCV, for frames of two sizes; of the source of the frames; Ctrl-C."""
    frame = shifted(texture(), 0, 0)
    with pytest.raises(UserError, match="cannot compute the optical flow") as caught:
        list(flow_frames([frame, frame[:80]], workers, 64))
    assert "\n" not in str(caught.value)
    for error in (UserError("damaged"), KeyboardInterrupt()):

        def frames(error: BaseException = error) -> Iterator[Gray]:
            yield frame
            yield shifted(texture(), 1, 0)
            raise error

        with pytest.raises(type(error)):
            list(flow_frames(frames(), workers, 64))
    assert flow_threads() == []


def test_missing_packages_name_the_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV at all, and its contributed modules."""
    frame, other = shifted(texture(), 0, 0), shifted(texture(), 1, 0)
    with monkeypatch.context() as patch:
        patch.delattr(cv2, "optflow")
        with pytest.raises(UserError, match="no TV-L1 optical flow"):
            list(flow_frames([frame, other], 1, 64))  # in a new thread
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-extraction\.txt"):
        gray_of(np.zeros((4, 4, 3), np.uint8))
