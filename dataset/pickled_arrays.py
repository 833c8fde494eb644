"""Reads .npy files of Python objects without executing code that they contain.

Object arrays are pickled, and a pickle can call any function. The feature and annotation files of
W-TALC and its successors need only arrays, lists, strings and numbers; nothing else is admitted.
"""

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from utils.errors import UserError, first_line

# What numpy writes for arrays, scalars and their types; numpy moved the modules in version 2.
NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
ADMITTED = {
    **{(m, "_reconstruct"): np.empty(0).__reduce__()[0] for m in NUMPY_MODULES},
    **{(m, "scalar"): np.float64(0).__reduce__()[0] for m in NUMPY_MODULES},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
LARGEST_HEADER = 10_000  # bytes, the limit of numpy itself


class _RefusedError(pickle.UnpicklingError):
    """The pickle names something that is not admitted."""


class _Unpickler(pickle.Unpickler):
    """Admits numpy arrays and scalars beside what pickles have anyway: numbers, texts, lists."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _encode  # how Python 2 and protocol 2 write bytes
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise _RefusedError(f"{module}.{name}") from None


def _encode(text: str, encoding: str) -> bytes:
    """Bytes written as text."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise _RefusedError(f"_codecs.encode with {encoding!r}")
    return text.encode("latin-1")


def read_array(path: Path) -> NDArray[Any]:
    """Reads a .npy file of numbers, texts or Python objects, of any version of Python and numpy.

    Args:
        path: File.

    Raises:
        UserError: If the file is missing or damaged, or if it contains anything but arrays, lists,
            texts and numbers. Nothing of such a file is executed.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except _RefusedError as error:
        raise UserError(
            f"{path} is refused: it contains {error}, whose loading could execute code; wanted "
            "only numpy arrays, lists, strings and numbers"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # numpy and pickle raise many types for a damaged file
        raise UserError(
            f"{path} is not a complete .npy file ({first_line(error)}); copy it again"
        ) from error


def _read(file: BinaryIO) -> NDArray[Any]:
    """Reads an open .npy file."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"version {version} of the format")
    shape, fortran_order, dtype = read_header(file, max_header_size=LARGEST_HEADER)
    if not dtype.hasobject:
        file.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array
    content = _Unpickler(file, encoding="latin1").load()
    if not isinstance(content, np.ndarray):
        raise ValueError(f"it contains {type(content).__name__}, wanted an array")
    return content.reshape(shape, order="F" if fortran_order else "C")
