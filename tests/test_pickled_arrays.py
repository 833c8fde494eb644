"""Object arrays: those of the field are read, and no file can execute code or crash the program."""

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.pickled_arrays import read_array
from tests.joint_files import objects
from utils.errors import UserError

RECONSTRUCT, SCALAR = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]


class Call:
    """Pickles as a call of a function, and optionally a state for what it returns."""

    def __init__(self, function: Any, arguments: tuple[Any, ...], *state: Any) -> None:
        self.reduced = function, arguments, *state

    def __reduce__(self) -> Any:
        return self.reduced


def write(path: Path, content: Any, protocol: int = 2, shape: tuple[int, ...] = (1,)) -> Path:
    """Writes a .npy file with this pickle."""
    with path.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(content, file, protocol=protocol)
    return path


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch {}",), "system"),
        (eval, ("open({!r}, 'w')",), "eval"),
        (np.load, ("{}",), "numpy.load"),
        (np.fromfile, ("{}",), "fromfile"),
        (np.memmap, ("{}", "u1", "w+", 0, (1,)), "memmap"),
        (getattr, (os, "system"), "getattr"),
        (bytearray, (10**9,), "bytearray"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_file_is_refused_and_does_nothing(
    tmp_path: Path, function: Any, arguments: tuple[Any, ...], named: str, protocol: int
) -> None:
    touched = tmp_path / "touched"
    filled = tuple(
        a.format(str(touched)) if isinstance(a, str) else "os" if a is os else a for a in arguments
    )
    nested = objects([np.ones(2), [objects([Call(function, filled)])]])
    path = write(tmp_path / "x.npy", nested, protocol, (2,))
    with pytest.raises(UserError, match=rf"x\.npy is refused: it contains .*{named}.*, whose"):
        read_array(path)
    assert not touched.exists()


def type_with(name: str, *state: Any) -> Call:
    """A type with a state that numpy would believe."""
    return Call(np.dtype, (name, False, True), state)


def array_of(type_: Any, content: Any, shape: Any = (1,)) -> Call:
    """An array with this content."""
    return Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, shape, type_, False, content))


UNFLAGGED = type_with("O8", 3, "|", None, None, None, -1, -1, 0)
POINTER = b"\x41" * 8


@pytest.mark.parametrize(
    ("crafted", "message"),
    [
        (array_of(UNFLAGGED, POINTER), "is refused: .* array of object made of bytes"),
        (array_of(np.dtype("O"), POINTER), "is refused: .* array of object made of bytes"),
        (Call(np.ndarray, ((1,), np.dtype("O"), POINTER)), "is refused: .* numpy.ndarray"),
        (Call(SCALAR, (UNFLAGGED, POINTER)), "is refused: .* scalar of object"),
        (array_of(np.dtype("f8"), [1.0]), "is refused: .* array of float64 made of list"),
        (array_of("f8", POINTER), "is refused: .* array of 'f8'"),
        (Call(bytes, (10**12,)), "is refused: .* bytes with arguments"),
        (Call(np.dtype, ("f4,f4", False, True)), "is refused: .* type 'f4,f4'"),
        (Call(np.dtype, ("M8[s]", False, True)), "is refused: .* type 'M8"),
        (array_of(np.dtype("f8"), POINTER, (2**40,)), "8 objects or bytes for shape"),
        (array_of(np.dtype("f8"), POINTER, (-1, -1)), r"shape \(-1, -1\)"),
        (array_of(np.dtype("O"), [1], (-1, -1)), r"shape \(-1, -1\)"),
        (array_of(np.dtype("O"), [], (2**32, 2**32)), "0 objects or bytes for shape"),
    ],
)
def test_types_and_arrays_that_would_crash_numpy_are_refused(
    tmp_path: Path, crafted: Call, message: str
) -> None:
    """numpy itself makes arrays of arbitrary pointers of some of these."""
    path = write(tmp_path / "x.npy", objects([[crafted]]))
    with pytest.raises(UserError, match=message):
        read_array(path)


def test_a_file_cannot_change_what_later_files_are_read_with(tmp_path: Path) -> None:
    change = b"\x80\x02c_codecs\nencode\n}X\x04\x00\x00\x00callK\x01sb."  # encode.call = 1
    path = tmp_path / "x.npy"
    write(path, None)
    path.write_bytes(path.read_bytes()[: -len(pickle.dumps(None, 2))] + change)
    with pytest.raises(UserError, match="not a complete"):
        read_array(path)
    assert read_array(write(path, objects([b"x"])))[0] == b"x"


def test_damaged_files_are_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "x.npy", objects([np.ones(3)]))
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    with pytest.raises(UserError, match=r"x\.npy is not a complete \.npy file"):
        read_array(path)
    with pytest.raises(UserError, match="it contains list, wanted an array"):
        read_array(write(path, [1]))
    with pytest.raises(UserError, match=r"shape \(1,\), but \(2,\) in the header"):
        read_array(write(path, objects([1]), shape=(2,)))
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_array(tmp_path / "missing.npy")


ITEMS = [
    np.ones((2, 3), np.float16),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(3, dtype=">i4"),
    np.array([b"a", b"bc"]),
    np.array(["ü", "x"]),
    np.zeros((0, 4), np.float32),
]
VALUES = [[[1.5, 2], "a"], b"bytes", np.float64(3), np.bytes_(b"y"), np.str_("ü"), None, "ü", True]


@pytest.mark.parametrize("protocol", range(5))
def test_object_arrays_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    found = read_array(
        write(
            tmp_path / "x.npy",
            objects([*ITEMS, *VALUES]),
            protocol,
            (len(ITEMS) + len(VALUES),),
        )
    )
    for one, other in zip(found, ITEMS, strict=False):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype.newbyteorder("=")  # numpy swaps bytes as it unpickles
    assert found[len(ITEMS) :].tolist() == VALUES


def test_files_of_python_2_are_read_without_a_warning(tmp_path: Path) -> None:
    """Bytes are opcodes of Python 2, module names those of old numpy, and lengths end in L."""
    features = np.arange(6, dtype=np.float32).reshape(3, 2)
    end = b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    numbers = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<" + end + b"K\x00tb"
    object_type = b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|" + end + b"K?tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    content = b"U" + bytes([features.nbytes]) + features.tobytes()
    array = empty + b"(K\x01K\x03K\x02\x86" + numbers + b"\x89" + content + b"tb"
    label = b"U\x06Diving"
    outer = empty + b"(K\x01K\x02\x85" + object_type + b"\x89]" + array + b"a" + label + b"atb."
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (2L,), }\n"
    path = tmp_path / "x.npy"
    path.write_bytes(
        b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\x80\x02" + outer
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found: NDArray[Any] = read_array(path)
    np.testing.assert_array_equal(found[0], features)
    assert found[1] == "Diving"


def test_nothing_in_the_program_allows_pickles() -> None:
    root = Path(__file__).parents[1]
    packages = [path.parent for path in root.glob("*/__init__.py") if path.parent.name != "tests"]
    files = [*root.glob("*.py"), *(file for package in packages for file in package.rglob("*.py"))]
    assert len(files) > 50
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not any(call in text for call in ("allow_pickle=True", "pickle.load")), path
