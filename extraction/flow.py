"""TV-L1 optical flow of the frames of a video, as the flow network of I3D expects it.

Letters: H, W height and width of a frame.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, pairwise
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from extraction.frames import CROP, SMALLER_SIDE, FrameSize, central_crop
from extraction.optional import optional_import
from utils.errors import UserError, first_line

Gray: TypeAlias = NDArray[np.uint8]
Flow: TypeAlias = NDArray[np.float32]
Item = TypeVar("Item")
Result = TypeVar("Result")

# Flow is computed on the central 256 x 256 pixels of the resized frame and cropped to 224 x 224, so
# that motion across the border of the crop is seen. Computing it on the whole frame takes up to
# twice as long.
FLOW_SIZE = FrameSize(SMALLER_SIDE, crop=SMALLER_SIDE)
LARGEST_PIXELS = 20.0  # displacements are clipped to this, and divided by it
PENDING_PER_WORKER = 2  # pairs of frames that wait for a worker or for the consumer

_thread = threading.local()  # an OpenCV algorithm keeps buffers: one per thread


def check_flow() -> None:
    """Raises a `UserError` if OpenCV is not installed or lacks TV-L1."""
    _tvl1(optional_import("cv2"))


def gray_of(frame: NDArray[np.uint8]) -> Gray:
    """Brightness (BT.601 luma) of an RGB frame: (H, W, 3) to (H, W)."""
    cv2 = optional_import("cv2")
    gray: Gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return gray


def flow_of(previous: Gray, following: Gray) -> Flow:
    """TV-L1 optical flow from a frame to the next one (OpenCV, default parameters).

    Args:
        previous: (H, W) gray frame.
        following: (H, W) gray frame.

    Returns:
        (H, W, 2) displacement to the right and downwards of what each pixel of `previous` shows,
        clipped to [-20, 20] pixels and divided by 20. Pixels are those of the resized frame.

    Raises:
        UserError: If OpenCV fails or lacks TV-L1.
    """
    if np.array_equal(previous, following):  # a repeated picture; TV-L1 gives exactly 0 as well
        return np.zeros((*previous.shape, 2), np.float32)
    cv2 = optional_import("cv2")
    try:
        flow: Flow = _tvl1(cv2).calc(previous, following, None)
    except cv2.error as error:
        raise UserError(f"OpenCV cannot compute the optical flow: {first_line(error)}") from None
    return np.clip(flow, -LARGEST_PIXELS, LARGEST_PIXELS, out=flow) / np.float32(LARGEST_PIXELS)


def flow_frames(
    frames: Iterable[Gray], workers: int = 1, crop: int = CROP
) -> Generator[Flow, None, None]:
    """Yields the flow from each frame of a video to the next, one flow per frame, in order.

    The last frame has no next one and repeats the flow before it; a single frame has flow 0.

    The workers are threads: OpenCV computes without the interpreter lock, so that they are as fast
    as processes, but start at once and copy nothing. At most `2 * workers` pairs are in memory.

    Args:
        frames: (H, W) gray frames, read as they are needed.
        workers: Number of flows computed at a time; 0 computes them in the calling thread.
        crop: Side of the central square that is kept.

    Yields:
        (crop, crop, 2) flow, as `flow_of` scales it.

    Raises:
        UserError: If OpenCV fails or lacks TV-L1.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        return

    def compute(pair: tuple[Gray, Gray]) -> Flow:
        return central_crop(flow_of(*pair), crop)

    flow = np.zeros((crop, crop, 2), np.float32)
    for flow in _ordered_map(compute, pairwise(chain([first], frames)), workers):
        yield flow
    yield flow


def _ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Yields the results of the function in order, computed in `workers` threads.

    When the consumer stops or an item fails, items that have not been started are dropped.
    """
    if workers == 0:
        yield from map(function, items)
        return
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="flow")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= PENDING_PER_WORKER * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _tvl1(cv2: Any) -> Any:
    """The TV-L1 algorithm of this thread; OpenCV itself then uses no further threads."""
    if not hasattr(_thread, "tvl1"):
        if not hasattr(cv2, "optflow"):
            raise UserError(
                "this OpenCV has no TV-L1 optical flow; replace it: pip uninstall opencv-python "
                "opencv-python-headless, then pip install -r requirements-extraction.txt"
            )
        cv2.setNumThreads(1)
        _thread.tvl1 = cv2.optflow.DualTVL1OpticalFlow_create()
    return _thread.tvl1
