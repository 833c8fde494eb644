"""The ActivityNet settings against the values of the official ACM-Net implementation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from build import build_criterion, build_network, loss_weights
from config.datasets import ACTIVITYNET12, ACTIVITYNET13
from config.model_config import make_config
from dataset.annotations import read_database
from dataset.dataset import Dataset, Split
from dataset.features.store import FeatureStore
from eval.detection.average_precision import detection_map
from eval.localization import localize, propose
from eval.scores import VideoScores
from eval.segments import ground_truth as instances
from models.acmnet import ACMNet
from models.branches import BACKGROUND, CONTEXT, INSTANCE
from models.terms import weighted_sum
from tests.program import run_main
from tests.test_acmnet import PRECISIONS, GivenMask, check
from tools.synthetic_activitynet import write_dataset
from utils.errors import UserError

CONFIG = make_config(dataset="ActivityNet13")


@pytest.fixture(scope="module")
def values(golden: Path) -> dict[str, NDArray[Any]]:
    with np.load(golden / "activitynet.npz") as file:
        return dict(file)


def official_net(values: dict[str, NDArray[Any]], dtype: torch.dtype, mode: str) -> ACMNet:
    """The network of the program for ActivityNet, with the official weights and dropout masks."""
    size = json.loads(str(values["hyper_params_json"]))
    store = FeatureStore(torch.empty(1, size["feature_dim"]), torch.zeros(1), torch.ones(1))
    classes = tuple(map(str, range(size["action_cls_num"])))
    data = Dataset(classes, {}, {"train": Split([], store, torch.empty(0), {})}, "")
    net = build_network(CONFIG, data, {})
    assert isinstance(net, ACMNet)
    names = [name for name, _ in net.named_parameters()]
    net.load_state_dict({name: torch.tensor(values[f"sd/{name}"]) for name in names})
    net = net.to(dtype).eval()
    if mode == "train":

        def mask(name: str) -> Any:
            return GivenMask(torch.tensor(values[f"drop/mask_{name}"], dtype=dtype))

        net.feature_embedding[0] = mask("input")
        net.attention_dropout = mask("attention")
        net.snippet_dropout, net.channel_dropout = mask("select"), mask("feat")
    return net


def tensor(values: dict[str, NDArray[Any]], name: str, dtype: torch.dtype) -> Tensor:
    return torch.tensor(values[name], dtype=dtype)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("dtype", "suffix", "tolerance"), PRECISIONS)
def test_outputs_losses_and_gradients_equal_the_official_ones(
    values: dict[str, NDArray[Any]], mode: str, dtype: torch.dtype, suffix: str, tolerance: float
) -> None:
    net = official_net(values, dtype, mode)
    output = net(tensor(values, "x", dtype))
    found = {"temp_att": output.attention, "act_cas": output.cas_logits.softmax(dim=-1)}
    for branch, name in [(INSTANCE, "inst"), (CONTEXT, "cont"), (BACKGROUND, "back")]:
        found[f"act_{name}_cls"] = output.video_logits[:, branch].softmax(dim=-1)
        found[f"act_{name}_feat"] = output.branch_features[:, branch]
        found[f"act_{name}_cas"] = output.branch_cas(branch)
    for name, value in found.items():
        check(value, values[f"{mode}/out/{name}_{suffix}"], tolerance)

    labels = tensor(values, "label", dtype)
    criterion = build_criterion(CONFIG, net)
    losses = criterion(output, labels, torch.empty(0)).losses
    total = weighted_sum(losses, loss_weights(CONFIG))
    total.backward()
    official = {
        "instance": "act_inst_loss",
        "context": "act_cont_loss",
        "background": "act_back_loss",
        "guide": "guide_loss",
        "feature": "feat_loss",
        "sparse": "sparse_loss",
    }
    for name, key in official.items():
        check(losses[name], values[f"{mode}/loss/{key}_{suffix}"], tolerance)
    check(total, values[f"{mode}/loss/total_{suffix}"], tolerance)
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        check(parameter.grad, values[f"{mode}/loss/grad/{name}_{suffix}"], tolerance)


def scores(values: dict[str, NDArray[Any]]) -> list[VideoScores]:
    return [
        VideoScores(
            str(name),
            int(values[f"in/{name}/vid_len"]),
            values[f"in/{name}/act_inst_cas"],
            values[f"in/{name}/temp_att"][:, 0],
            values[f"in/{name}/act_inst_cls"],
        )
        for name in values["video_names"]
        if f"in/{name}/vid_len" in values
    ]


def test_the_default_localization_settings_are_the_official_ones(
    values: dict[str, NDArray[Any]],
) -> None:
    official, ours = json.loads(str(values["settings_json"])), ACTIVITYNET13.localization
    assert ours == ACTIVITYNET12.localization
    assert ours.cas_thresholds == tuple(official["cas_thresholds"])
    assert ours.attention_thresholds == tuple(official["att_thresholds"])
    assert (ours.nms_tiou, ours.class_threshold) == (0.9, 0.1)
    assert (ours.outer_ratio, ours.upsampling) == (official["lamb"], official["test_upgrade_scale"])
    assert ours.score_class_weight == official["gamma_att"]


@pytest.mark.parametrize(("stage", "key"), [(propose, "raw"), (localize, "final")])
def test_segments_equal_the_official_ones(
    values: dict[str, NDArray[Any]], stage: Any, key: str
) -> None:
    videos = scores(values)
    found = stage(videos, values["class_names"].tolist(), ACTIVITYNET13.localization)
    for number, video in enumerate(videos):
        own = found.take(found.video == number)
        rows = np.column_stack([own.label, own.score, own.start, own.end])
        wanted = values[f"out/{video.name}/{key}"]
        assert rows.shape == wanted.shape, video.name
        order = np.lexsort(rows.T[::-1]), np.lexsort(wanted.T[::-1])
        np.testing.assert_allclose(rows[order[0]], wanted[order[1]], rtol=1e-12, atol=1e-12)


def test_average_precision_equals_the_official_one(
    values: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    ground_truth = tmp_path / "gt.json"
    ground_truth.write_text(str(values["gt_json"]))
    database = {n: v for n, v in read_database(ground_truth).items() if v.subset == "val"}
    videos = scores(values)
    classes = values["class_names"].tolist()
    detections = localize(videos, classes, ACTIVITYNET13.localization)
    result = detection_map(instances(database.values(), classes), detections, CONFIG.tiou)
    order = [classes.index(name) for name in values["out/ap_class_names"]]
    np.testing.assert_allclose(result.average_precision[:, order], values["out/ap"], atol=1e-12)
    np.testing.assert_allclose(result.mean_average_precision, values["out/mAP"], atol=1e-12)
    average = result.averages()[".5-.95"] / 100
    np.testing.assert_allclose(average, values["out/test_mAP"], atol=1e-12)


def test_a_synthetic_activitynet_trains_and_is_evaluated(
    tmp_path: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    annotations = real_data / "activitynet" / "activitynet_v1-3.json"
    data = tmp_path / "data"
    write_dataset(annotations, data, {"train": 12, "test": 6}, 16, seed=0)
    flags = ["--data_dir", data, "--epochs", "1", "--without_wandb", "--num_snippets", "20"]
    printed = run_main([*flags, "--dataset", "ActivityNet13", "--batch_size", "4"])
    assert "average mAP %   .5-.95: " in printed
    assert "evaluated: 6 videos" in printed
    assert (data / "save" / "baseline" / "acmnet" / "ActivityNet13_best.pth").exists()
    with pytest.raises(UserError, match="exists already"):
        write_dataset(annotations, data, {"train": 1, "test": 1}, 16, seed=0)
