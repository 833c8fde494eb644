"""Loads the I3D checkpoints of the field, strictly."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from extraction.i3d import I3D
from utils.errors import UserError
from utils.tensor_files import read_tensors

CHANNELS = {"rgb": 3, "flow": 2}  # of a frame, in the order of the features
FILES = {"rgb": "rgb_imagenet.pt", "flow": "flow_imagenet.pt"}  # as piergiovanni/pytorch-i3d
FIRST, LAST = "Conv3d_1a_7x7.conv3d.weight", "logits.conv3d.weight"


def load_i3d(path: Path, stream: str) -> I3D:
    """Reads the weights of one stream and returns the network, ready for evaluation.

    Any floating-point type and any number of classes is read. A prefix "module." and a dictionary
    around the weights, which training programs add, are taken off.

    Args:
        path: Checkpoint with the parameter names of `rgb_imagenet.pt`.
        stream: "rgb" or "flow".

    Raises:
        UserError: If the file cannot be read, if a parameter is missing, unknown or of another
            shape, or if the file belongs to the other stream.
    """
    advice = (
        f"--{stream}_weights names the {stream} checkpoint of I3D, such as {FILES[stream]} of "
        "github.com/piergiovanni/pytorch-i3d"
    )
    if stream == "flow":
        advice += "; --streams rgb needs none"
    weights = _weights_in(read_tensors(path, f"{stream} weights", advice))
    if weights is None:
        raise UserError(f"{stream} weights {path}: there are no tensors in this file; {advice}")
    channels = weights[FIRST].shape[1] if FIRST in weights and weights[FIRST].dim() == 5 else 0
    if channels in CHANNELS.values() and channels != CHANNELS[stream]:
        raise UserError(
            f"{stream} weights {path}: the first convolution has {channels} input channels, as the "
            f"other stream, wanted {CHANNELS[stream]}; exchange --rgb_weights and --flow_weights"
        )
    classes = weights[LAST].shape[0] if LAST in weights and weights[LAST].dim() else 1
    net = I3D(CHANNELS[stream], classes)
    expected = {name: tensor.shape for name, tensor in net.state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = [name for name in expected if name not in found and name not in counters]
    unknown = [name for name in found if name not in expected]
    other = [name for name in expected if name in found and found[name] != expected[name]]
    if missing or unknown or other:
        listed = [
            _listed("missing", missing),
            _listed("unknown", unknown),
            _listed("of another shape", [f"{n} {tuple(found[n])}" for n in other]),
        ]
        raise UserError(
            f"{stream} weights {path} are not those of I3D: {'; '.join(filter(None, listed))}; "
            f"{advice}"
        )
    # The numbers of training steps of the batch norms; files of old torch versions lack them.
    weights |= {name: torch.zeros((), dtype=torch.long) for name in counters - found.keys()}
    net.load_state_dict(weights)
    return net.eval()


def _weights_in(content: object) -> dict[str, Tensor] | None:
    """The tensors by parameter name; None if the file holds something else."""
    if not isinstance(content, Mapping):
        return None
    wrapped = [content.get(key) for key in ("state_dict", "model_state_dict")]
    weights = next((inner for inner in wrapped if isinstance(inner, Mapping)), content)
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        return None
    return {str(name).removeprefix("module."): value for name, value in weights.items()}


def _listed(kind: str, names: list[str]) -> str:
    """How many parameters there are of this kind, and the first of them; "" for none."""
    return f"{len(names)} {kind}, such as {names[0]}" if names else ""
