"""Recognizes the kind of a file that is not JSON from its first bytes and its name."""

import re
from pathlib import Path

_MAGIC = (
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"PK\x03\x04", "a zip archive, such as .npz, .pth or .xlsx"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89HDF", "an HDF5 file"),
    (b"MATLAB", "a MATLAB file"),
    (b"PAR1", "a Parquet file"),
)
_BINARY_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_TEXT_PICKLE = re.compile(rb"(c[\w.]+\n\w+\n|\([ldi]p\d+\n)")  # protocols 0 and 1
_TABLE = re.compile(r"[^\[{\"\s][^\n,;\t]*([,;\t ])[^\n]*(\n|$)")


def kind_of(content: bytes, path: Path) -> str:
    """What a file is if it is not JSON, such as "a pickle"; "" if that is unknown.

    Args:
        content: Content of the file, or its beginning.
        path: Path of the file; its extension decides where the content does not.
    """
    for magic, kind in _MAGIC:
        if content.startswith(magic):
            return kind
    if _BINARY_PICKLE.match(content) or _TEXT_PICKLE.match(content):
        return "a pickle"
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv", ".txt"} and _TABLE.match(
        content[:1000].decode("utf-8", "replace")
    ):
        return "a table of text (CSV)"
    if suffix in {".pkl", ".pickle"}:
        return "a pickle"
    if content.lstrip().startswith(b"{") and re.match(
        rb"\s*\{[^\n]*\}\s*\n\s*\{", content[:100_000]
    ):
        return "JSON lines (one object per line)"
    return ""
