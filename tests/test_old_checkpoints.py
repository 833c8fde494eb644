"""Checkpoints of earlier versions can be tested and resumed: stored names and values stay."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from config.model_config import make_config, settings_of
from tests.data_folder import make_data
from tests.program import run_main

WIDTH, CLASSES, PROJECTION = 16, 20, 8
SHAPES: dict[str, tuple[int, ...]] = {
    "feature_embedding.0.weight": (WIDTH, WIDTH, 3),
    "feature_embedding.0.bias": (WIDTH,),
    "att_branch.weight": (3, WIDTH, 1),
    "att_branch.bias": (3,),
    "snippet_cls.weight": (CLASSES + 1, WIDTH),
    "snippet_cls.bias": (CLASSES + 1,),
}
PROJECTION_SHAPES: dict[str, tuple[int, ...]] = {
    "feature_trans.weight": (PROJECTION, WIDTH),
    "feature_trans.bias": (PROJECTION,),
}
# Every setting as version 0.1 stored it. Four of them differ from the defaults.
CHANGED = {"num_snippets": 24, "fc_dim": PROJECTION, "thres": 0.7, "outer": 0.5}
CONFIG: dict[str, Any] = {
    "dataset": "THUMOS",
    "group": "baseline",
    "model_name": "acmnet",
    "seed": 0,
    "seeds": [],
    "checkpoint": "",
    "test": False,
    "report": False,
    "ftcl": False,
    "device": "cpu",
    "gpu": "0",
    "precision": "auto",
    "deterministic": False,
    "resume": False,
    "force": False,
    "checkpoint_seconds": 30.0,
    "without_wandb": True,
    "wandb_project": "FTCL-Net",
    "data_dir": "elsewhere",
    "save_dir": "elsewhere/run",
    "num_workers": 4,
    "feature_memory": -1.0,
    "frames_per_second": 25.0,
    "snippet_frames": 16,
    "dropout": 0.7,
    "ins_topk_seg": 8,
    "con_topk_seg": 3,
    "bak_topk_seg": 3,
    "batch_size": 16,
    "epochs": 2,
    "start_epoch": 0,
    "start_test_epoch": 0,
    "lr": 0.0001,
    "weight_decay": 5e-05,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "loss_lamb_guide": 0.002,
    "loss_lamb_feat": 5e-05,
    "loss_lamb_sparse": 0.0002,
    "feat_margin": 50.0,
    "loss_lamb_fsd": 0.8,
    "loss_lamb_lcs": 0.1,
    "without_fsd": False,
    "without_lcs": False,
    "fsd_len": 5,
    "lcs_len": 30,
    "gamma": 0.1,
    "objective": "release",
    "background_candidates": "auto",
    "distinct_candidates": False,
    "ranking_eta": 0.2,
    "resample_pairs": False,
    "class_threshold": 0.25,
    "cas_thresholds": [0.15, 0.2],
    "attention_thresholds": [round(0.05 * i, 2) for i in range(3, 20)],
    "upsampling": 20,
    "nms_tiou": 0.55,
    "nms_offset": 1.0,
    "tiou": [round(0.1 * i, 1) for i in range(1, 10)],
    # The fingerprint of `make_data` with its defaults.
    "data": {
        "annotations": "512b496a52ec21393e67c2de2a7ce0d83e43a4986a6eec7a592cdc0b47bf3528",
        "train": {
            "videos": 6,
            "rows": 225,
            "sha256": "2ef44c655a7761808b613c6946d4233c592f6ba7e3ea7239543abd379c1252d8",
        },
        "test": {
            "videos": 4,
            "rows": 101,
            "sha256": "cd8cbb5aa35d34f198f28dd0fd8f0881aedd43ee6fa36c0c2786ca5d16169d5b",
        },
    },
    **CHANGED,
}
FLAGS = [text for name, value in CHANGED.items() for text in (f"--{name}", value)]


def old_checkpoint(ftcl: bool) -> dict[str, Any]:
    """Content of `THUMOS_latest.pth` after two epochs, as version 0.1 wrote it."""
    shapes = {**SHAPES, **PROJECTION_SHAPES} if ftcl else SHAPES
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes.items()
    }
    moments = {
        index: {
            "step": torch.tensor(2.0),
            "exp_avg": torch.zeros(shape),
            "exp_avg_sq": torch.ones(shape),
        }
        for index, shape in enumerate(shapes.values())
    }
    group = {
        "lr": 1e-4,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 5e-5,
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": True,
        "params": list(moments),
    }
    return {
        "epoch": 2,
        "model_state_dict": weights,
        "network": "FTCLNet" if ftcl else "ACMNet",
        "config": {**CONFIG, "ftcl": ftcl},
        "optimizer": {"state": moments, "param_groups": [group]},
        "random": [{"data": generator.get_state(), "torch": generator.get_state()}],
        "best": {"name": ".1-.7", "score": 1.5, "epoch": 1},
        "wandb": None,
    }


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Flags that name the data and the run directory, which may differ from the stored ones."""
    data, run_dir = make_data(tmp_path / "data"), tmp_path / "run"
    run_dir.mkdir()
    flags = ["--data_dir", str(data), "--device", "cpu", "--without_wandb"]
    return [*flags, "--save_dir", str(run_dir)]


@pytest.mark.parametrize("ftcl", [False, True])
def test_an_old_checkpoint_is_resumed(tmp_path: Path, arguments: list[str], ftcl: bool) -> None:
    torch.save(old_checkpoint(ftcl), tmp_path / "run" / "THUMOS_latest.pth")
    lines = "".join(json.dumps({"epoch": epoch}) + "\n" for epoch in (1, 2))
    (tmp_path / "run" / "metrics.jsonl").write_text(lines)
    stage = ["--ftcl"] if ftcl else []
    run_main([*arguments, *stage, *FLAGS, "--resume", "--epochs", "3"])
    logged = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in logged] == [1, 2, 3]
    stored = torch.load(tmp_path / "run" / "THUMOS_latest.pth", weights_only=True)
    assert stored["epoch"] == 3
    assert CONFIG.keys() <= stored["config"].keys()
    free = {"epochs", "resume", "data_dir", "save_dir"}
    expected = {**CONFIG, "ftcl": ftcl}
    assert all(stored["config"][name] == expected[name] for name in CONFIG.keys() - free)


def test_settings_of_an_old_checkpoint_are_compared_by_their_stored_names(
    tmp_path: Path, arguments: list[str]
) -> None:
    torch.save(old_checkpoint(ftcl=False), tmp_path / "run" / "THUMOS_latest.pth")
    printed = run_main([*arguments, "--resume", "--epochs", "3"], status=2)
    assert "- thres: 0.7 before, 0.92 now" in printed
    assert "- outer: 0.5 before, 0.2 now" in printed
    assert printed.count(" before, ") == len(CHANGED)


def test_a_setting_that_an_old_checkpoint_lacks_had_its_default(
    tmp_path: Path, arguments: list[str]
) -> None:
    content = old_checkpoint(ftcl=False)
    del content["config"]["distinct_candidates"]
    torch.save(content, tmp_path / "run" / "THUMOS_latest.pth")
    resume = [*arguments, *FLAGS, "--resume", "--epochs", "3"]
    printed = run_main([*resume, "--distinct_candidates"], status=2)
    assert "- distinct_candidates: False before, True now" in printed
    run_main(resume)


@pytest.mark.parametrize("ftcl", [False, True])
def test_an_old_checkpoint_is_tested_with_its_settings(
    tmp_path: Path, arguments: list[str], ftcl: bool
) -> None:
    file = tmp_path / "old.pth"
    torch.save(old_checkpoint(ftcl), file)
    printed = run_main([*arguments, "--test", "--checkpoint", file])
    assert "mAP" in printed
    assert "warning" not in printed
    assert (tmp_path / "run" / "old_predictions.json").exists()
    config = make_config(**settings_of(old_checkpoint(ftcl)))
    assert (config.outer_ratio, config.num_snippets) == (0.5, 24)
