"""Checkpoints: strict loading, the format of the official implementation, untrusted files."""

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


def test_a_checkpoint_of_the_official_implementation_loads_strictly(tmp_path: Path) -> None:
    source, target = ACMNet(8, 3), ACMNet(8, 3)
    official = {**weights(source), "feature_trans.weight": torch.ones(4, 8)}
    torch.save({"epoch": 7, "model_state_dict": official}, tmp_path / "THUMOS_best.pth")
    content = read_checkpoint(tmp_path / "THUMOS_best.pth")
    assert content["epoch"] == 7
    load_weights(target, content["model_state_dict"], tmp_path, allow_unexpected=["feature_trans."])
    for name, tensor in target.state_dict().items():
        assert tensor.equal(source.state_dict()[name])


def test_parameter_names_are_those_of_the_official_implementation() -> None:
    names = {name.rsplit(".", 1)[0] for name in ACMNet(8, 3).state_dict()}
    assert names == {"feature_embedding.0", "att_branch", "snippet_cls"}


def test_weights_of_another_network_are_refused_and_the_differences_listed(tmp_path: Path) -> None:
    stored = weights(ACMNet(8, 3))
    stored["extra.weight"] = stored.pop("att_branch.bias")
    net = ACMNet(16, 3)
    before = weights(net)
    with pytest.raises(UserError) as raised:
        load_weights(net, stored, tmp_path / "f.pth")
    message = str(raised.value)
    assert "att_branch.bias is missing" in message
    assert "extra.weight is not in the network" in message
    assert "snippet_cls.weight has shape (4, 8), in the network (4, 16)" in message
    assert all(tensor.equal(before[name]) for name, tensor in net.state_dict().items())


class Payload:
    """Unpickling an object of this class creates a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_refused_and_never_executed(tmp_path: Path, legacy: bool) -> None:
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
        (b"not a checkpoint", "cannot be read|is refused"),
        ({"state": 1}, 'no "model_state_dict"'),
        ([1, 2], 'no "model_state_dict"'),
        ({"model_state_dict": {"w": 3}}, 'no "model_state_dict" of tensors'),
    ],
)
def test_a_file_that_is_not_a_checkpoint_is_refused(
    tmp_path: Path, content: Any, message: str
) -> None:
    file = tmp_path / "f.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(UserError, match=message):
        read_checkpoint(file)


def test_missing_and_truncated_files_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(UserError, match="cannot be read"):
        read_checkpoint(tmp_path)
    file = tmp_path / "f.pth"
    save_checkpoint(file, {"epoch": 1, "model_state_dict": weights(ACMNet(8, 3))})
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(UserError, match="truncated"):
        read_checkpoint(file)


def test_saving_where_nothing_can_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        save_checkpoint(tmp_path / "file" / "f.pth", {"epoch": 1})
