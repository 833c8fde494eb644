"""Mistakes in the use of predict.py."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from tests.bad_inputs.case import PREDICT, BadInput, cut, put
from tests.disks import read_only
from tests.known_network import known_weights, write_checkpoint

NAME = "video_test_0000000"
FEATURES = f"data/test/{NAME}.npy"
DENIED = os.strerror(errno.EACCES)
EXPORT = "--export net.onnx"
VIDEO = "video.mp4 --rgb_weights rgb.pt"
Predicted = partial(BadInput, program=PREDICT)


@contextmanager
def missing(package: str) -> Iterator[None]:
    """Simulates that a Python package is not installed; other imports stay."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, package, None)
        yield


def features(change: Callable[["np.ndarray[Any, Any]"], "np.ndarray[Any, Any]"]) -> Any:
    """Changes the features of the first test video."""
    return lambda: np.save(FEATURES, change(np.load(FEATURES)))


@contextmanager
def i3d_of(channels: int, opened: bool = False) -> Iterator[None]:
    """Lets I3D have this number of channels; with `opened`, without reading its weights."""
    with ExitStack() as stack:
        stack.enter_context(patch("extraction.i3d.FEATURE_DIM", channels))
        if opened:
            extractor = SimpleNamespace(settings=SimpleNamespace(frames_per_second=25.0))
            opener = "extraction.extractor.open_extractor"
            stack.enter_context(patch(opener, lambda *_: extractor))
        yield


@contextmanager
def exported(outputs_differ: bool = False) -> Iterator[None]:
    """Replaces the export, which takes seconds, by a file that onnxruntime cannot read."""
    with ExitStack() as stack:
        file = (b"", 18, ["class_scores"])
        stack.enter_context(patch("prediction.onnx_export._exported", lambda _: file))
        if outputs_differ:
            outputs = [np.array(2.0)] * 4
            stack.enter_context(
                patch("prediction.onnx_export._session", lambda _: lambda _: outputs)
            )
        yield


PREDICTING = [
    Predicted("no input"),
    Predicted("no checkpoint of this name", f"{FEATURES} --checkpoint nowhere.pth"),
    Predicted(
        "a checkpoint of another network",
        FEATURES,
        spoil=lambda: write_checkpoint(Path("good.pth"), {"fc.weight": torch.ones(2, 2)}),
    ),
    Predicted(
        "an official checkpoint with 7 classes",
        FEATURES,
        spoil=lambda: write_checkpoint(Path("good.pth"), known_weights(7)),
    ),
    Predicted("`--class_names nowhere.txt`", f"{FEATURES} --class_names nowhere.txt"),
    Predicted(
        "`--class_names` with 2 of 20 classes",
        f"{FEATURES} --class_names names.txt",
        put("names.txt", "jump\nwave\n"),
    ),
    Predicted("an input that does not exist", "nowhere.npy"),
    Predicted("a text file", "notes.txt", put("notes.txt", "no features\nin here\n")),
    Predicted("a folder with nothing to predict", "run", lambda: Path("run").mkdir()),
    Predicted("a folder of folders", "data"),
    Predicted(
        "an input that must not be read",
        FEATURES,
        around=lambda: patch(
            "prediction.inputs._from_file", side_effect=PermissionError(13, DENIED)
        ),
    ),
    Predicted(
        "two different files of one name",
        f"{FEATURES} {NAME}.npy",
        lambda: np.save(f"{NAME}.npy", np.ones((9, 16))),
        status=1,
    ),
    Predicted("features of 7 channels", FEATURES, features(lambda f: f[:, :7])),
    Predicted("features of 10 crops", FEATURES, features(lambda f: np.stack([f] * 10, 1))),
    Predicted("features with a NaN", FEATURES, features(lambda f: f * np.nan)),
    Predicted("truncated features", FEATURES, cut(FEATURES, 9)),
    Predicted("`--durations nowhere.json`", f"{FEATURES} --durations nowhere.json"),
    Predicted(
        "`--durations` with a text as a duration",
        f"{FEATURES} --durations seconds.json",
        put("seconds.json", f'{{"{NAME}": "long"}}'),
    ),
    Predicted("`--snippet_timing duration` alone", f"{FEATURES} --snippet_timing duration"),
    Predicted("`--figure timeline.bmp`", f"{FEATURES} --figure timeline.bmp"),
    Predicted("`--json data`, a folder", f"{FEATURES} --json data"),
    Predicted(
        "`--csv` into a read-only folder",
        f"{FEATURES} --csv run/a.csv",
        around=lambda: read_only("run"),
    ),
    Predicted("`--top 0`", f"{FEATURES} --top 0"),
    Predicted("`--min_score nan`", f"{FEATURES} --min_score nan"),
    Predicted("a video, but the network wants other features", VIDEO, put("video.mp4", "video")),
    Predicted(
        "a video, but no weights of I3D",
        "video.mp4",
        put("video.mp4", "video"),
        lambda: i3d_of(16),
    ),
    Predicted(
        "`--streams both`, but the network wants one",
        f"{VIDEO} --streams both",
        put("video.mp4", "video"),
        lambda: i3d_of(16),
    ),
    Predicted(
        "a file that is named like a video",
        VIDEO,
        put("video.mp4", "not a video"),
        lambda: i3d_of(16, opened=True),
    ),
    Predicted("`--export` with `--json`", f"{EXPORT} --json a.json"),
    Predicted("`--export data`, a folder", "--export data"),
    Predicted(
        "`--export` with a video",
        f"{EXPORT} video.mp4",
        put("video.mp4", "video"),
        lambda: patch("prediction.onnx_export.export_network"),
        status=1,
    ),
    Predicted("`--export` without onnx", EXPORT, around=lambda: missing("onnx")),
    Predicted(
        "`--export` with an old torch",
        EXPORT,
        around=lambda: patch("torch.__version__", "2.4.0"),
    ),
    Predicted("`--export` of a network that onnxruntime cannot read", EXPORT, around=exported),
    Predicted(
        "`--export` of a network that onnxruntime computes differently",
        EXPORT,
        around=lambda: exported(outputs_differ=True),
    ),
]
