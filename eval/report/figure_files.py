"""Figure files: PNG, PDF or SVG, as the ending says, and images inside a page."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from utils.errors import UserError
from utils.files import write_atomically

if TYPE_CHECKING:  # flags are parsed without it
    from matplotlib.figure import Figure

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")
PAPER_DPI = 300  # of PNG files for papers
# Image types of a page with the bytes that a file of them has near its beginning.
IMAGE_TYPES = {".png": ("image/png", b"\x89PNG\r\n"), ".svg": ("image/svg+xml", b"<svg")}
SEARCHED = 2000  # bytes


class EmbeddedImage(NamedTuple):
    """An image inside a page, which needs no other file.

    Attributes:
        address: Data URL of the image.
        lines: What it shows, for readers who do not see it.
    """

    address: str
    lines: tuple[str, ...] = ()


def embedded_file(path: Path, flag: str) -> EmbeddedImage:
    """Reads an image for a page.

    Args:
        path: PNG or SVG file.
        flag: Flag that named it, for the message.

    Raises:
        UserError: If it cannot be read or is no such image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{flag} {path} cannot be read: {error.strerror}") from None
    kind, mark = IMAGE_TYPES.get(path.suffix.lower(), ("", b""))
    if not kind or mark not in content[:SEARCHED]:
        raise UserError(
            f"{flag} {path} is no image that a page can show; wanted a .png or .svg file, such as "
            "one that tools/alignment_figure.py writes"
        )
    return EmbeddedImage(data_url(content, kind))


def data_url(content: bytes, kind: str) -> str:
    """The address of an image that holds the image itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def check_figure_path(path: Path, flag: str) -> None:
    """Checks the name of a file to write, before anything is computed.

    Args:
        path: File of the figure.
        flag: Flag that named it, for the message.

    Raises:
        UserError: If it has another ending or is a folder.
    """
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise UserError(f"{flag} {path}: wanted a file ending in {', '.join(FIGURE_SUFFIXES)}")
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; give the name of a file")


def write_figure(path: Path, figure: "Figure", dpi: float | None = None) -> None:
    """Writes a figure in the format that the ending of the file names.

    Args:
        path: File ending in one of `FIGURE_SUFFIXES`.
        figure: Figure to write.
        dpi: Pixels per inch of a PNG file; by default those of the figure.

    Raises:
        UserError: If the file cannot be written.
    """
    kind = path.suffix[1:].lower()
    write_atomically(path, lambda file: save_figure(file, figure, kind, dpi))


def save_figure(file: BinaryIO, figure: "Figure", kind: str, dpi: float | None = None) -> None:
    """Writes a figure to an open file.

    The same figure gives the same bytes: no file holds the time of its making. Texts are TrueType
    fonts in PDF files, as publishers demand, and outlines in SVG files.

    Args:
        file: Binary file.
        figure: Figure to write.
        kind: "png", "pdf" or "svg".
        dpi: Pixels per inch of a PNG file; by default those of the figure.
    """
    from matplotlib import rc_context  # slow

    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind)
    with rc_context({"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "figure"}):
        figure.savefig(file, format=kind, dpi=dpi or "figure", metadata=undated)
