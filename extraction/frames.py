"""From a decoded picture to the RGB frame that the network sees: size, orientation and colors.

Letters: H, W height and width of a frame.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame

DisplayMatrix: TypeAlias = NDArray[np.int32]
Scalar = TypeVar("Scalar", bound=np.generic)

SMALLER_SIDE = 256  # pixels of the resized frame's smaller side
CROP = 224  # pixels of the square that the network sees

# Above these sizes players take video without a color matrix for HD, hence BT.709.
LARGEST_SD_WIDTH, LARGEST_SD_HEIGHT = 1279, 576
UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED


@dataclass(frozen=True)
class FrameSize:
    """Size of the frames.

    Attributes:
        smaller_side: Pixels of the smaller side of the displayed picture after resizing.
        crop: Side of the central square that is kept; None keeps the whole picture.
    """

    smaller_side: int = SMALLER_SIDE
    crop: int | None = CROP

    def __post_init__(self) -> None:
        if self.crop is not None and self.crop > self.smaller_side:
            raise ValueError(f"crop {self.crop} is larger than the side {self.smaller_side}")


def resized_shape(width: int, height: int, pixel_aspect: Fraction, side: int) -> tuple[int, int]:
    """Width and height after resizing so that pixels are square and the smaller side is `side`."""
    displayed_width = width * pixel_aspect
    scale = Fraction(side) / min(displayed_width, Fraction(height))
    return round(displayed_width * scale), round(height * scale)


def central_crop(frame: NDArray[Scalar], side: int) -> NDArray[Scalar]:
    """The central square of a frame (H, W, …) as a contiguous array (side, side, …)."""
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return np.ascontiguousarray(frame[top : top + side, left : left + side])


def upright(frame: NDArray[np.uint8], matrix: DisplayMatrix) -> NDArray[np.uint8]:
    """The frame turned as the display matrix of the file says, to the nearest right angle.

    Args:
        frame: (H, W, 3) as stored.
        matrix: (9,) [a b u, c d v, x y w] that maps a stored point (p, q) to the shown point
            (a p + c q + x, b p + d q + y).

    Returns:
        A view of the frame, (H, W, 3) or (W, H, 3).
    """
    a, b, _, c, d = (int(value) for value in matrix[:5])
    if abs(b) > abs(a):
        frame = frame.swapaxes(0, 1)
        a, d = c, b
    return frame[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def display_matrix(picture: "VideoFrame") -> DisplayMatrix | None:
    """The matrix (9,) by which a decoded picture has to be turned, or None.

    To be called once per video, not per picture: PyAV's picture and its side data refer to each
    other, and such pictures (megabytes each) stay in memory until Python's garbage collector runs.
    """
    matrix: Any = picture.side_data.get("DISPLAYMATRIX")
    return None if matrix is None else np.frombuffer(bytes(matrix), np.int32)


def rgb_frame(
    picture: "VideoFrame", pixel_aspect: Fraction, matrix: DisplayMatrix | None, size: FrameSize
) -> NDArray[np.uint8]:
    """Converts a decoded picture to RGB, resizes it, turns it upright and crops it.

    Args:
        picture: The decoded picture.
        pixel_aspect: Width of a pixel divided by its height.
        matrix: Display matrix of the video.
        size: Size of the frame.

    Returns:
        (H, W, 3) RGB.
    """
    from av.video.reformatter import ColorRange, Colorspace, Interpolation

    width, height = resized_shape(picture.width, picture.height, pixel_aspect, size.smaller_side)
    high_definition = picture.width > LARGEST_SD_WIDTH or picture.height > LARGEST_SD_HEIGHT
    flags = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
    guess = Colorspace.ITU709 if high_definition else Colorspace.ITU601
    frame: NDArray[Any] = picture.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=guess if picture.colorspace == UNSPECIFIED else None,
        dst_color_range=ColorRange.JPEG,
        interpolation=flags,
        threads=1,
    ).to_ndarray()
    if matrix is not None:
        frame = upright(frame, matrix)
    return np.ascontiguousarray(frame) if size.crop is None else central_crop(frame, size.crop)
