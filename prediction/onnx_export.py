"""Exports the network of a checkpoint to ONNX, and checks the file against torch (docs/ONNX.md).

Letters: B videos, T sampled snippets, D channels, C action classes.
"""

import copy
import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from config.localization import LocalizationSettings
from models.acmnet import BatchScores
from prediction.predictor import Predictor
from utils.errors import UserError, first_line
from utils.files import write_atomically

INPUT = "features"
TORCH = (2, 7)  # the first version that tells a module that it is being exported
TOLERANCE = 1e-5  # absolute; all outputs are probabilities
# Batch sizes and lengths of the check: down to one snippet, fewer than any divisor of the top-k.
SHAPES = ((1, 1), (1, 2), (2, 3), (1, 7), (3, 16), (2, 75), (1, 333), (2, 750))
INSTALL = "install the packages of the export: pip install -r requirements-onnx.txt"

Run = Callable[[Tensor], list["np.ndarray[Any, Any]"]]


class ScoringNet(nn.Module):
    """The part of a network that is exported: from features to the scores of its videos."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Scores of features (B, T, D): the fields of `BatchScores` by name."""
        scores: BatchScores = self.net(features).video_scores()
        return {name: value for name, value in scores._asdict().items() if value is not None}


def export_network(predictor: Predictor, path: Path, real: Sequence[Tensor] = ()) -> None:
    """Writes the network as an ONNX file that holds its weights, classes and settings.

    The file is written only if its outputs equal those of torch within 1e-5, for random snippets
    and for real ones; without onnxruntime it is written unchecked, with a warning.

    Args:
        predictor: Network to export, with its classes and settings.
        path: File to write.
        real: Snippets (1, T, D) of real videos, to check with.

    Raises:
        UserError: If a package is missing or too old, or if the outputs differ.
    """
    content, opset, outputs = _exported(predictor)
    print(
        f"{INPUT} (batch, length, {predictor.feature_dim}) -> {', '.join(outputs)}; "
        f"opset {opset}, {len(content) / 2**20:.1f} MiB"
    )
    try:
        run = _session(content)
    except ImportError:
        print(f"warning: onnxruntime is not installed, so the file is not checked; {INSTALL}")
    else:
        shapes = [shape for shape in SHAPES if shape[1] <= predictor.config.num_snippets]
        random = _random_snippets(shapes, predictor.feature_dim)
        _check(run, predictor, random, f"random snippets, {len(shapes)} batch sizes and lengths")
        if real:
            number = f"{len(real)} video" + "s" * (len(real) > 1)
            _check(run, predictor, real, f"snippets of {number}")
    write_atomically(path, lambda file: file.write(content))
    print(f"network: {path}")


def _exported(predictor: Predictor) -> tuple[bytes, int, list[str]]:
    """The content of the ONNX file, its opset, and the names of its outputs."""
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < TORCH:
        raise UserError(
            f"--export needs torch {TORCH[0]}.{TORCH[1]} or newer, found {torch.__version__}; "
            "predicting works with this version, so export on another machine or update torch"
        )
    for package in ("onnx", "onnxscript"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UserError(f"--export: {package} is not installed; {INSTALL}") from error
    net = ScoringNet(copy.deepcopy(predictor.net).cpu()).eval()
    example = torch.zeros(2, 40, predictor.feature_dim)
    outputs = list(net(example))
    dynamic = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    with _quiet():
        program = torch.onnx.export(
            net,
            (example,),
            input_names=[INPUT],
            output_names=outputs,
            dynamic_shapes={INPUT: dynamic},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for key, value in _metadata(predictor).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    opset = next(each.version for each in model.opset_import if each.domain == "")
    return model.SerializeToString(), opset, outputs


def _metadata(predictor: Predictor) -> dict[str, str]:
    """What a program around the graph has to know, as JSON by key."""
    config = predictor.config
    values = {
        "classes": list(predictor.classes),
        "num_snippets": config.num_snippets,
        "localization": {
            name: getattr(config.localization, name)
            for name in LocalizationSettings.__dataclass_fields__
        },
    }
    return {key: json.dumps(value) for key, value in values.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides warnings of the exporter about packages that are not needed, and about itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _session(content: bytes) -> Run:
    """Runs the file in onnxruntime."""
    runtime = importlib.import_module("onnxruntime")
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has many types of errors
        raise UserError(
            f"--export: onnxruntime {runtime.__version__} cannot read the network "
            f"({first_line(error)}); update onnxruntime"
        ) from error
    return lambda features: session.run(None, {INPUT: features.numpy()})


def _random_snippets(shapes: Sequence[tuple[int, int]], feature_dim: int) -> list[Tensor]:
    """Random snippets (B, T, D), not negative and of a norm near 10 like those of I3D."""
    generator = torch.Generator().manual_seed(0)
    scale = 10 / feature_dim**0.5
    return [scale * torch.randn(*s, feature_dim, generator=generator).abs() for s in shapes]


def _check(run: Run, predictor: Predictor, inputs: Sequence[Tensor], what: str) -> None:
    """Compares the outputs of onnxruntime with those of torch, and prints the difference."""
    net = ScoringNet(copy.deepcopy(predictor.net).cpu()).eval()
    largest = 0.0
    for features in inputs:
        with torch.inference_mode():
            expected = net(features.float())
        found = run(features.float())
        for (name, ours), theirs in zip(expected.items(), found, strict=True):
            difference = float(np.abs(ours.numpy() - theirs).max())
            if not difference <= TOLERANCE:
                raise UserError(
                    f"--export: {name} of {what} differs from torch by {difference:.2g} at shape "
                    f"{tuple(features.shape)}, more than {TOLERANCE:g}; nothing was written: "
                    "update torch and onnxruntime, or report this line"
                )
            largest = max(largest, difference)
    print(f"checked against torch with onnxruntime: {what}, largest difference {largest:.1e}")
