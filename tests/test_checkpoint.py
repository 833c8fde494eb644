"""Checkpoints: strict loading, the released form, and files that are not to be trusted."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from models.acmnet import ACMNet
from record.checkpoint import load_weights, read_checkpoint, save_checkpoint
from utils.errors import UserError


def weights(net: ACMNet) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def test_a_checkpoint_of_the_released_form_loads_strictly(tmp_path: Path) -> None:
    source, target = ACMNet(8, 3), ACMNet(8, 3)
    released = {**weights(source), "feature_trans.weight": torch.ones(4, 8)}
    torch.save({"epoch": 7, "model_state_dict": released}, tmp_path / "THUMOS_best.pth")
    content = read_checkpoint(tmp_path / "THUMOS_best.pth")
    assert content["epoch"] == 7
    load_weights(target, content["model_state_dict"], tmp_path, may_have=["feature_trans."])
    for name, tensor in target.state_dict().items():
        assert tensor.equal(source.state_dict()[name])


def test_parameter_names_are_those_of_the_release() -> None:
    names = {name.rsplit(".", 1)[0] for name in ACMNet(8, 3).state_dict()}
    assert names == {"feature_embedding.0", "att_branch", "snippet_cls"}


def test_another_width_or_network_says_what_differs(tmp_path: Path) -> None:
    stored = weights(ACMNet(8, 3))
    stored["extra.weight"] = stored.pop("att_branch.bias")
    net = ACMNet(16, 3)
    before = weights(net)
    with pytest.raises(UserError) as raised:
        load_weights(net, stored, tmp_path / "f.pth")
    message = str(raised.value)
    assert "att_branch.bias is missing" in message
    assert "extra.weight is unknown here" in message
    assert "snippet_cls.weight has shape (4, 8), the network (4, 16)" in message
    assert all(tensor.equal(before[name]) for name, tensor in net.state_dict().items())


class Payload:
    """Unpickling an object of this class creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_refused_and_never_runs(tmp_path: Path, legacy: bool) -> None:
    file, harm = tmp_path / "evil.pth", tmp_path / "harm"
    content = {"epoch": 1, "model_state_dict": {"w": Payload(harm)}}
    if legacy:
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file)
    with pytest.raises(UserError, match="is refused"):
        read_checkpoint(file)
    assert not harm.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read|is refused"),
        (b"no checkpoint at all", "cannot be read|is refused"),
        ({"state": 1}, 'no "model_state_dict"'),
        ([1, 2], 'no "model_state_dict"'),
        ({"model_state_dict": {"w": 3}}, 'no "model_state_dict" of tensors'),
    ],
)
def test_what_is_no_checkpoint_is_said_so(tmp_path: Path, content: Any, message: str) -> None:
    file = tmp_path / "f.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(UserError, match=message):
        read_checkpoint(file)


def test_missing_and_truncated_files_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(UserError, match="cannot be read"):
        read_checkpoint(tmp_path)
    file = tmp_path / "f.pth"
    save_checkpoint(file, {"epoch": 1, "model_state_dict": weights(ACMNet(8, 3))})
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(UserError, match="cut off"):
        read_checkpoint(file)


def test_saving_into_an_unwritable_place_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "f.pth", {"epoch": 1})
