"""I3D: the golden values of another implementation, a reference in float64, strict loading."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from extraction.i3d import I3D, same_padding
from extraction.weights import load_i3d
from tests.i3d_networks import random_i3d, reference_features
from utils.errors import UserError


def noise(batch: int, channels: int, frames: int) -> Tensor:
    """Clips of uniform noise, (B, C, T, 224, 224), channels last in memory."""
    values = np.random.default_rng(0).uniform(-1, 1, (batch, frames, 224, 224, channels))
    return torch.from_numpy(values.astype(np.float32)).permute(0, 4, 1, 2, 3)


@pytest.fixture(scope="module")
def flow_net() -> I3D:
    """A network with random weights for flow."""
    return random_i3d(2)


@pytest.mark.parametrize("frames", [9, pytest.param(16, marks=pytest.mark.slow)])
@torch.inference_mode()
def test_features_equal_the_reference_before_and_after_folding(flow_net: I3D, frames: int) -> None:
    clips = noise(1, 2, frames)
    expected = reference_features(flow_net.state_dict(), clips)
    assert expected.std() > 0.01  # the comparison is not one of zeros
    np.testing.assert_allclose(flow_net(clips).features, expected, rtol=1e-4, atol=1e-5)
    folded = random_i3d(2)
    folded.fold_batch_norm()
    folded.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    np.testing.assert_allclose(folded(clips).features, expected, rtol=1e-4, atol=1e-5)
    assert not any("bn" in name for name, _ in folded.named_parameters())


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [
        (224, 7, 2, (2, 3)),  # the odd one is at the end
        (16, 7, 2, (2, 3)),
        (15, 7, 2, (3, 3)),
        (112, 3, 2, (0, 1)),
        (7, 3, 2, (1, 1)),
        (7, 2, 2, (0, 1)),
        (8, 2, 2, (0, 0)),
        (5, 3, 1, (1, 1)),
        (5, 1, 1, (0, 0)),
    ],
)
def test_padding_is_that_of_tensorflow(
    size: int, kernel: int, stride: int, expected: tuple[int, int]
) -> None:
    before, after = same_padding([size], [kernel], [stride])
    assert (before[0], after[0]) == expected


@pytest.fixture(scope="module")
def real_net(real_data: Path) -> I3D:
    """The RGB network of Kinetics-400, as the extraction computes with it."""
    net = load_i3d(real_data / "i3d_network" / "rgb_imagenet.pt", "rgb")
    net.fold_batch_norm()
    net.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return net


@torch.inference_mode()
def test_real_weights_give_the_golden_features_and_logits(real_data: Path, real_net: I3D) -> None:
    golden = np.load(real_data.parent / "golden" / "i3d.npz")
    output = real_net(noise(2, 3, 16))
    np.testing.assert_allclose(output.features, golden["noise_features"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(output.logits, golden["noise_logits"], atol=2e-4, rtol=0)


@pytest.mark.slow  # eight snippets
@torch.inference_mode()
def test_a_real_video_gives_the_golden_features_and_logits(real_data: Path, real_net: I3D) -> None:
    pillow = pytest.importorskip("PIL.Image")
    golden = np.load(real_data.parent / "golden" / "i3d.npz")
    image = pillow.open(real_data / "videos" / "cricket_shot.gif")
    frames = []
    for index in range(64):
        image.seek(index)
        frames.append(np.asarray(image.convert("RGB"), dtype=np.float32) / 127.5 - 1)
    video = torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2)  # (3, 64, 224, 224)
    output = real_net(video.unflatten(1, (4, 16)).transpose(0, 1))
    np.testing.assert_allclose(output.features, golden["cricket_features"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(output.logits, golden["cricket_logits"], atol=2e-4, rtol=0)

    logits = real_net(video[None]).logits
    np.testing.assert_allclose(logits, golden["cricket_64_logits"], atol=2e-4, rtol=0)
    names = (real_data / "i3d_network" / "kinetics400_classes.txt").read_text().splitlines()
    assert names[int(logits.argmax())] == "playing cricket"


def save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_loading_is_strict_but_reads_what_the_field_has(tmp_path: Path, flow_net: I3D) -> None:
    weights = flow_net.state_dict()
    half = {name: w.half() if w.is_floating_point() else w for name, w in weights.items()}
    no_counters = {n: w for n, w in weights.items() if not n.endswith("num_batches_tracked")}
    wrapped = {"state_dict": {f"module.{name}": w for name, w in weights.items()}, "epoch": 3}
    for number, content in enumerate([weights, half, no_counters, wrapped]):
        net = load_i3d(save(tmp_path / f"{number}.pt", content), "flow")
        bias = net.state_dict()["logits.conv3d.bias"]
        assert bias.dtype == torch.float32
        torch.testing.assert_close(bias, weights["logits.conv3d.bias"], atol=1e-4, rtol=1e-3)
        assert not net.training


def test_errors_about_weights_say_what_is_wrong(tmp_path: Path, flow_net: I3D) -> None:
    weights = flow_net.state_dict()
    without = {n: w for n, w in weights.items() if n != "Mixed_4c.b0.conv3d.weight"}
    renamed = {n.replace("Mixed_5c", "Mixed_6a"): w for n, w in weights.items()}
    narrow = weights | {"Mixed_3b.b0.bn.weight": torch.ones(3)}
    cases: dict[str, list[tuple[object, str]]] = {
        "flow": [
            (without, "1 missing, such as Mixed_4c.b0.conv3d.weight"),
            (renamed, "unknown, such as Mixed_6a.b0.conv3d.weight"),
            (narrow, r"1 of another shape, such as Mixed_3b.b0.bn.weight \(3,\)"),
            ({"conv1.weight": torch.ones(1)}, "not those of I3D"),
            ([1, 2], "no tensors"),
            (flow_net, "refused"),  # a pickled module
        ],
        "rgb": [(weights, "2 input channels.*wanted 3; exchange")],
    }
    for stream, contents in cases.items():
        for content, message in contents:
            with pytest.raises(UserError, match=message) as caught:
                load_i3d(save(tmp_path / "weights.pt", content), stream)
            assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"does not exist; --flow_weights names .*--streams rgb"):
        load_i3d(tmp_path / "missing.pt", "flow")
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(UserError, match="rgb weights"):
        load_i3d(tmp_path / "text.pt", "rgb")
