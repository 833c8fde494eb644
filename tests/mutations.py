"""Damaged files for the fuzz tests, as hypothesis strategies."""

import copy
import io
import json
import math
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

Draw = st.DrawFn

BYTES = [
    *(b"", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\r", b"PK\x03\x04"),
    b"\x80\x05",
    *(b"NaN", b"1e999", b"-", b'"', b"[", b"{", b"}", b"\\ud800", b"../", b"(", b"'", b"L"),
    *(b"9" * 5000, b"[" * 5000),
]
JSON = [  # as text, because json.dumps refuses some of these values
    *("null", "true", "0", "-1", "0.5", "1e308", "1e-320", "NaN", "-Infinity", "1e999"),
    *("9" * 400, "9" * 5000, "[]", "{}", "[0, 1]", "[1e308, 1e308]", '{"segment": [0, 1]}'),
    *("[" * 500 + "]" * 500, '{"a":' * 500 + "1" + "}" * 500, '"Diving"', '"0.5"', '"nan"'),
    *('""', '"\\ud800"', '"\\u0000\\u001b[2J"', '"../../x"', '"é"', f'"{"x" * 10_000}"'),
]
SHAPES = [
    *("(12, 16)", "(16, 12)", "(192,)", "(12, 16, 1)", "()", "(0, 16)", "(12, 0)", "(-1, 16)"),
    *("(10**9, 16)", "(1000000000, 16)", "(100000000, 16)", "(1099511627776, 1099511627776)"),
    *("(True, 16)", "(12L, 16L)", "[12, 16]", "12", "None", "(12.0, 16)", "(1e999, 1)", "(1,)*80"),
    *(f"({'9' * 30}, 16)", "(" * 300, "-" * 3000 + "1"),
]
TYPES = [
    *("'<f4'", "'>f4'", "'<f2'", "'<f8'", "'<f16'", "'<i4'", "'<c8'", "'|b1'", "'|O'", "'<U5'"),
    *("'|S0'", "'|V0'", "'<M8[s]'", "[('a', '<f4')]", "('<f4', (2,))", "'bogus'", "{[1]: 2}", "5"),
    *("'<f4', 1: 2", "'", "'|S99999999999'", "[('a', [('b', '<f4')])]"),
]
VALUES: list[Any] = [
    *(None, True, 0, -1, 2, 10**30, 0.5, -1e308, math.nan, math.inf, "", "x", "\ud800", "../x"),
    *([], {}, [0.5], [None], ["x"], {"a": 1}, {3: 4}, (), (1, 2)),
]
TENSORS = [
    torch.tensor(math.nan),
    torch.full((2, 3), math.inf),
    torch.zeros(0),
    torch.zeros(20, dtype=torch.int64),
    torch.zeros(16, dtype=torch.complex64),
    torch.zeros(16, dtype=torch.uint8),
    torch.zeros(20, device="meta"),
    torch.zeros(20).to_sparse(),
    torch.zeros(1).expand(10**12),
]


@st.composite
def damaged(draw: Draw, good: bytes) -> bytes:
    """Replaces a few spans: bytes changed, inserted, deleted, repeated, or the end cut off."""
    content = good
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([0, 1, 1, 4, 50, len(content)]))
        piece = st.just(content[start : start + 40])
        put = draw(st.one_of(st.binary(max_size=4), st.sampled_from(BYTES), piece))
        content = content[:start] + put + content[start + length :]
    return content


@st.composite
def damaged_json(draw: Draw, good: bytes) -> bytes:
    """Changes the structure of a JSON file: values of other types, keys deleted or renamed."""
    marks = [f"@{number}@" for number in range(len(JSON))]
    text = json.dumps(draw(changed(json.loads(good), marks)))
    for mark, put in zip(marks, JSON, strict=True):
        text = text.replace(f'"{mark}"', put)
    return text.encode()


@st.composite
def damaged_npy(draw: Draw) -> bytes:
    """An array file with one or two faults in its header or body."""
    parts: dict[str, Any] = {
        "type": "'<f4'",
        "order": "False",
        "shape": "(12, 16)",
        "version": b"\x01\x00",
        "length": 0,
        "value": 1.0,
        "bytes": 768,
    }
    faults: dict[str, list[Any]] = {
        "type": TYPES,
        "order": ["True", "2", "None", "[]"],
        "shape": SHAPES,
        "version": [b"\x02\x00", b"\x03\x00", b"\x09\x01"],
        "length": [-1, 1, 500, 50_000],
        "value": [math.nan, math.inf, 1e38],
        "bytes": [0, 100, 767, 769],
    }
    for name in draw(st.lists(st.sampled_from(list(faults)), min_size=1, max_size=2)):
        parts[name] = draw(st.sampled_from(faults[name]))
    form = "{{'descr': {type}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
    header = form.format(**parts).encode()
    width = 2 if parts["version"][0] == 1 else 4
    length = (len(header) + parts["length"]).to_bytes(width, "little")
    body = np.full(200, parts["value"], np.float32).tobytes()[: parts["bytes"]]
    return b"\x93NUMPY" + parts["version"] + length + header + body


@st.composite
def damaged_checkpoint(draw: Draw, good: bytes) -> bytes:
    """Changes bytes of the archive, of the pickle in it, or of the legacy format of torch."""
    kind = draw(st.sampled_from(["archive", "pickle", "legacy"]))
    if kind == "archive":
        return draw(damaged(good))
    if kind == "legacy":
        legacy = io.BytesIO()
        content = torch.load(io.BytesIO(good), weights_only=True)
        torch.save(content, legacy, _use_new_zipfile_serialization=False)
        return draw(damaged(legacy.getvalue()))
    new = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source, zipfile.ZipFile(new, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            intact = not name.endswith("data.pkl")
            target.writestr(name, content if intact else draw(damaged(content)))
    return new.getvalue()


@st.composite
def altered_checkpoint(draw: Draw, good: bytes) -> bytes:
    """An intact file with other content: values and tensors of other types, keys renamed."""
    content = torch.load(io.BytesIO(good), weights_only=True)
    file = io.BytesIO()
    torch.save(draw(changed(content, [*VALUES, *TENSORS])), file)
    return file.getvalue()


@st.composite
def changed(draw: Draw, content: Any, values: list[Any]) -> Any:
    """Nested dicts and lists with up to three entries replaced, deleted or renamed."""
    root = [content]
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(root))
        parent, key = places[draw(st.integers(0, len(places) - 1))]
        action = draw(st.sampled_from(["replace", "replace", "delete", "rename"]))
        value = copy.deepcopy(draw(st.sampled_from(values)))
        if action == "replace" or parent is root:
            parent[key] = value
        elif action == "delete":
            del parent[key]
        elif isinstance(parent, dict) and isinstance(value, str | int | float | None):
            parent[value] = parent.pop(key)
    return root[0]


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """All entries of nested dicts and lists, each as its container and its key or index."""
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])
