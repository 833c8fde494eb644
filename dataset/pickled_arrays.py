"""Reads .npy files of Python objects without executing code that they contain.

Object arrays are pickled, and a pickle can call any function. The feature and annotation files of
W-TALC and its successors need only arrays, lists, strings and numbers; nothing else is admitted.
Nor are numpy's own functions called as a file wishes: they trust the state of a type or an array,
so that an object array made of raw bytes would be an array of arbitrary pointers.
"""

import pickle
import warnings
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from utils.errors import UserError, first_line, shown

# What numpy writes for arrays, scalars and their types; numpy moved the modules in version 2.
NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
NUMBERS, TEXTS, OBJECTS = "biufc", "SU", "O"
LARGEST_HEADER = 10_000  # bytes, the limit of numpy itself


class _RefusedError(pickle.UnpicklingError):
    """The pickle contains something that is not admitted."""


class _Type:
    """The type of an array: of numbers, texts or objects."""

    __slots__ = ("dtype",)

    def __init__(self, name: Any, *flags: Any) -> None:
        if not isinstance(name, str) or (dtype := np.dtype(name)).kind not in (
            NUMBERS + TEXTS + OBJECTS
        ):
            raise _RefusedError(f"the type {shown(name)}")
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        """Takes the byte order; the rest follows from the name, or belongs to other types."""
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array that checks what it is filled with."""

    def __setstate__(self, state: Any) -> None:
        version, shape, type_, fortran_order, content = state
        dtype = _dtype_of(type_)
        if dtype.hasobject != isinstance(content, list):
            raise _RefusedError(f"an array of {dtype} made of {type(content).__name__}")
        if not all(isinstance(length, int) and length >= 0 for length in shape):
            raise ValueError(f"an array of shape {shown(shape)}")
        size = prod(shape) * (1 if dtype.hasobject else dtype.itemsize)
        if len(content) != size:
            raise ValueError(f"{len(content)} objects or bytes for shape {shown(shape)}")
        super().__setstate__((version, shape, dtype, fortran_order, content))


class _Function(NamedTuple):
    """A function that the pickle may call; unlike a function, a tuple cannot be changed by it."""

    call: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)


class _Unpickler(pickle.Unpickler):
    """Admits numpy arrays and scalars beside what pickles have anyway: numbers, texts, lists."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise _RefusedError(f"{module}.{name}") from None


def _dtype_of(type_: Any) -> np.dtype[Any]:
    if not isinstance(type_, _Type):
        raise _RefusedError(f"an array of {shown(type_)}")
    return type_.dtype


def _refuse_array(*arguments: Any) -> None:
    """An array made of a buffer."""
    raise _RefusedError("a call of numpy.ndarray")


def _empty_array(*arguments: Any) -> _Array:
    """What arrays are before they are filled; subclasses of arrays become arrays."""
    return _Array((0,), np.int8)


def _scalar(type_: Any, content: Any) -> Any:
    """A number or text of numpy."""
    dtype = _dtype_of(type_)
    data = content.encode("latin-1") if isinstance(content, str) else content
    if dtype.hasobject or not isinstance(data, bytes):
        raise _RefusedError(f"a scalar of {dtype} made of {type(content).__name__}")
    return np.frombuffer(data, dtype)[0] if data else dtype.type()


def _encode(text: Any, encoding: Any) -> bytes:
    """Bytes, as Python 2 and protocol 2 write them."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise _RefusedError(f"_codecs.encode with {shown(encoding)}")
    return text.encode("latin-1")


def _no_bytes(*arguments: Any) -> bytes:
    """Empty bytes, which protocols 0 to 2 write as a call without arguments."""
    if arguments:
        raise _RefusedError("bytes with arguments")
    return b""


ADMITTED = {
    **{(module, "_reconstruct"): _Function(_empty_array) for module in NUMPY_MODULES},
    **{(module, "scalar"): _Function(_scalar) for module in NUMPY_MODULES},
    ("numpy", "ndarray"): _Function(_refuse_array),  # an argument of _reconstruct
    ("numpy", "dtype"): _Function(_Type),
    ("_codecs", "encode"): _Function(_encode),
    ("__builtin__", "bytes"): _Function(_no_bytes),
}


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of headers that Python 2 wrote
        shape, _, dtype = read_header(file, max_header_size=LARGEST_HEADER)
        if not dtype.hasobject:
            file.seek(0)
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return array
    content = _Unpickler(file, encoding="latin1").load()
    if not isinstance(content, np.ndarray):
        raise ValueError(f"it contains {type(content).__name__}, wanted an array")
    if content.shape != shape:
        raise ValueError(f"an array of shape {content.shape}, but {shape} in the header")
    return content.view(np.ndarray)
