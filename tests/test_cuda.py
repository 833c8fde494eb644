"""The program and the extraction of features on a GPU."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from extraction.extractor import Extractor
from extraction.snippets import SnippetSettings
from tests.data_folder import make_data
from tests.i3d_networks import random_i3d
from tests.program import run_main
from utils.device import choose_device

EPOCHS = 3


def check_both_stages(folder: Path, device: str, precision: str) -> None:
    """Trains both stages and evaluates the last checkpoint on this device and on the CPU."""
    data = make_data(folder / "data", train=12, test=7)
    common = ["--data_dir", data, "--num_snippets", 24, "--precision", precision, "--lr", 1e-2]
    common += ["--without_wandb", "--epochs", EPOCHS, "--device", device]
    first, second = folder / "acmnet", folder / "ftcl"
    run_main([*common, "--save_dir", first])
    start = ["--ftcl", "--checkpoint", first / "THUMOS_latest.pth"]
    printed = run_main([*common, *start, "--save_dir", second])
    assert re.search(rf"^computing on .*, {precision}, ", printed, re.MULTILINE), printed
    lines = [json.loads(line) for line in (second / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == EPOCHS
    wanted = lines[-1]["average .1-.7"]
    assert wanted > 1
    test = ["--test", "--checkpoint", second / "THUMOS_latest.pth", "--data_dir", data]
    for tested, tolerance in ((device, 0.01), ("cpu", 2.0)):
        printed = run_main([*test, "--device", tested, "--save_dir", folder / tested])
        found = re.search(r"average mAP % .* \.1-\.7: ([\d.]+)", printed)
        assert found, printed
        assert float(found[1]) == pytest.approx(wanted, abs=tolerance)


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_both_stages_train_and_evaluate(tmp_path: Path, precision: str) -> None:
    check_both_stages(tmp_path, "cuda", precision)


@pytest.mark.cuda
@pytest.mark.parametrize(("precision", "error"), [("fp32", 1e-4), ("tf32", 1e-2), ("bf16", 0.1)])
def test_features_equal_those_of_the_cpu(precision: str, error: float) -> None:
    clips = np.random.default_rng(0).integers(0, 256, (2, 16, 224, 224, 3), np.uint8)

    def features(device: str, precision: str) -> np.ndarray:
        chosen = choose_device(device, "0", precision)
        return Extractor({"rgb": random_i3d(3)}, SnippetSettings(), chosen).compute({"rgb": clips})

    expected, found = features("cpu", "fp32"), features("cuda", precision)
    assert np.linalg.norm(found - expected) < error * np.linalg.norm(expected)
