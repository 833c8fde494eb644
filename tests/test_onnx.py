"""Export to ONNX: equality with torch at every batch size and length, content, errors."""

import importlib
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from config.datasets import THUMOS14
from models.acmnet import ACMNet
from models.ftclnet import FTCLNet
from predict import load_predictor
from prediction import onnx_export
from tests.known_network import (
    WIDTH,
    run_predict,
    stored_config,
    write_checkpoint,
)

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
runtime = pytest.importorskip("onnxruntime")
# The scoring part of FTCL-Net is ACM-Net. Each export takes seconds, so there are two.
NETWORKS = {
    "FTCL-Net": lambda: FTCLNet(WIDTH, 5, fc_dim=8),
    "ActivityNet": lambda: ACMNet(WIDTH, 5, topk_divisors=(2, 10, 10), input_dropout=0.7),
}
# Lengths around every divisor of the top-k, down to a single snippet.
SHAPES = [(1, 1), (2, 1), (1, 2), (3, 3), (1, 7), (2, 8), (5, 9), (1, 10), (1, 100), (2, 751)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder per network with its checkpoint a.pth, its features x.npy and its export a.onnx."""
    folders = {}
    for seed, (name, make) in enumerate(NETWORKS.items()):
        torch.manual_seed(seed)
        folder = folders[name] = tmp_path_factory.mktemp("onnx")
        dropout = 0.7 if name == "ActivityNet" else 0.0
        config = stored_config(num_snippets=30, input_dropout=dropout, ins_topk_seg=2)
        classes = [f"class {label}" for label in range(5)]
        weights = {n: 3 * w for n, w in make().state_dict().items()}
        write_checkpoint(folder / "a.pth", weights, config=config, classes=classes)
        np.save(folder / "x.npy", np.random.default_rng(0).random((40, WIDTH), np.float32))
        flags = ["--checkpoint", folder / "a.pth", "--device", "cpu"]
        printed = run_predict([*flags, "--export", folder / "a.onnx", folder / "x.npy"])
        (folder / "printed").write_text(printed)
    return folders


@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_equals_the_network(exported: dict[str, Path], name: str) -> None:
    predictor = load_predictor(exported[name] / "a.pth", device="cpu")
    session = runtime.InferenceSession(exported[name] / "a.onnx")
    for shape in SHAPES:
        features = torch.rand(*shape, WIDTH, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            expected = predictor.net(features).video_scores()
        found = session.run(["cas", "attention", "class_scores"], {"features": features.numpy()})
        for ours, theirs in zip(expected[:3], found, strict=True):
            np.testing.assert_allclose(theirs, ours.numpy(), rtol=0, atol=1e-5)
            assert theirs.dtype == np.float32
    assert len({float(value) for value in found[2].ravel()}) > 2  # the scores tell classes apart


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_printed(exported: dict[str, Path], name: str) -> None:
    printed = (exported[name] / "printed").read_text()
    assert f"features (batch, length, {WIDTH}) -> cas, attention, class_scores" in printed
    assert len(re.findall("checked against torch with onnxruntime: ", printed)) == 2
    assert "snippets of 1 video, largest difference" in printed
    differences = [float(text) for text in re.findall(r"difference ([\d.e-]+)", printed)]
    assert len(differences) == 2
    assert max(differences) <= 1e-5


def test_the_content_of_the_file(exported: dict[str, Path]) -> None:
    model = onnx.load(exported["FTCL-Net"] / "a.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["features"]
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dimensions] == ["batch", "length", WIDTH]
    names = {tensor.name for tensor in model.graph.initializer}
    assert not any("trans" in name for name in names)  # the projection of FTCL-Net is left out
    facts = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert facts["classes"] == [f"class {label}" for label in range(5)]
    assert facts["num_snippets"] == 30
    expected = load_predictor(exported["FTCL-Net"] / "a.pth").config.localization
    assert facts["localization"] == json.loads(json.dumps(asdict(expected)))


def test_onnxruntime_gives_the_segments_of_predict(
    exported: dict[str, Path], tmp_path: Path
) -> None:
    """The Python example of docs/ONNX.md."""
    page = Path(__file__).parents[1].joinpath("docs", "ONNX.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    folder = exported["FTCL-Net"]
    names = {"net.onnx": folder / "a.onnx", "video.npy": folder / "x.npy"}
    for name, path in names.items():
        example = example.replace(f'"{name}"', f'r"{path}"')
    scope: dict[str, Any] = {}
    exec(example, scope)
    expected = load_predictor(folder / "a.pth", device="cpu")(np.load(folder / "x.npy"))
    segments = scope["segments"]
    order = np.argsort(-segments.score, kind="stable")
    found = [
        (segments.classes[segments.label[i]], segments.start[i], segments.end[i]) for i in order
    ]
    assert len(found) == len(expected) > 0
    for (label, start, end), segment in zip(found, expected, strict=True):
        assert label == segment.label
        np.testing.assert_allclose([start, end], segment[1:3], atol=0.1)


def exported_before(exported: dict[str, Path], patch: pytest.MonkeyPatch) -> None:
    """Lets the export give what it gave before, without its taking seconds again."""
    content = (exported["FTCL-Net"] / "a.onnx").read_bytes()
    outputs = ["cas", "attention", "class_scores", "branch_attention"]
    patch.setattr(onnx_export, "_exported", lambda predictor: (content, 20, outputs))


def test_a_difference_is_an_error(
    exported: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = onnx_export._session
    exported_before(exported, monkeypatch)

    def wrong(content: bytes) -> onnx_export.Run:
        run = real(content)
        return lambda features: [run(features)[0] + np.float32(2e-5), *run(features)[1:]]

    monkeypatch.setattr(onnx_export, "_session", wrong)
    flags = ["--checkpoint", exported["FTCL-Net"] / "a.pth", "--export", tmp_path / "b.onnx"]
    printed = run_predict(flags, status=2)
    assert "--export: cas of random snippets" in printed
    assert "differs from torch by 2e-05 at shape (1, 1, 16), more than 1e-05" in printed
    assert not (tmp_path / "b.onnx").exists()


def test_missing_packages(
    exported: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--checkpoint", exported["FTCL-Net"] / "a.pth", "--export", tmp_path / "b.onnx"]
    with monkeypatch.context() as patch:
        exported_before(exported, patch)
        patch.setitem(sys.modules, "onnxruntime", None)
        printed = run_predict(flags)
        assert "warning: onnxruntime is not installed, so the file is not checked" in printed
        assert (tmp_path / "b.onnx").exists()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "onnxscript", None)
        printed = run_predict(flags, status=2)
        assert "onnxscript is not installed; install the packages of the export" in printed
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "2.4.1+cpu")
        printed = run_predict(flags, status=2)
        assert "--export needs torch 2.7 or newer, found 2.4.1+cpu" in printed
    assert importlib.import_module("onnxscript")


def test_a_bad_feature_file_is_said_and_the_network_is_written(
    exported: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported_before(exported, monkeypatch)
    flags = ["--checkpoint", exported["FTCL-Net"] / "a.pth", "--export", tmp_path / "b.onnx"]
    np.save(tmp_path / "wide.npy", np.ones((3, 9), np.float32))
    (tmp_path / "film.mp4").write_bytes(b"\x00\x01")
    printed = run_predict([*flags, tmp_path / "wide.npy", tmp_path / "film.mp4"], status=1)
    assert "wide.npy has 9 channels" in printed
    assert "film.mp4: --export is checked with feature files, not with videos" in printed
    assert (tmp_path / "b.onnx").exists()


@pytest.mark.slow
@pytest.mark.parametrize("trained_for", ["THUMOS", "ActivityNet13"])
def test_a_network_of_full_width_on_real_features(
    real_data: Path, tmp_path: Path, trained_for: str
) -> None:
    torch.manual_seed(0)
    is_thumos = trained_for == THUMOS14.name
    net = FTCLNet(2048, 20) if is_thumos else ACMNet(2048, 200, input_dropout=0.7)
    checkpoint = write_checkpoint(tmp_path / "a.pth", net.state_dict())
    features = real_data / "i3d_samples" / "features"
    flags = ["--checkpoint", checkpoint, "--device", "cpu", "--dataset", trained_for]
    printed = run_predict([*flags, "--export", tmp_path / "a.onnx", features])
    assert "snippets of 16 videos, largest difference" in printed
