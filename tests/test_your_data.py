"""Every command of docs/YOUR_DATA.md, in its order, on small videos and a random I3D network."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.i3d_networks import random_i3d
from tests.test_extraction import write_video

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "YOUR_DATA.md"
CLASSES = ("jump", "wave")


def commands() -> list[str]:
    """The lines of the shell blocks of the page, except for those that are marked."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    run = [block for block in blocks if not block.startswith("# not run by the test")]
    return [line for block in run for line in block.splitlines()]


def test_the_page_has_every_step() -> None:
    programs = [line.split(" --")[0].split()[:3] for line in commands()]
    assert ["python", "-m", "extraction"] in programs
    assert ["python", "-m", "dataset.check"] in programs
    assert ["python", "-m", "eval.report"] in programs
    assert sum(words[1] == "main_thu.py" for words in programs) == 3
    assert sum(words[1] == "predict.py" for words in programs) == 2


@pytest.mark.slow
def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    for path in ROOT.iterdir():  # a copy of the repository in which data/ is empty
        if path.name not in ("data", ".git", "tests") and not path.name.startswith("."):
            (tmp_path / path.name).symlink_to(path)
    torch.save(random_i3d(3).state_dict(), tmp_path / "rgb_imagenet.pt")
    database = {}
    for number, split in enumerate(["train"] * 4 + ["test"] * 2):
        label = CLASSES[number % 2]
        levels = np.where(np.arange(48) % 4 < 2, 40, 60 + 120 * (number % 2))
        write_video(tmp_path / "videos" / split / f"{split}_{number}.mkv", levels)
        annotation = {"label": label} | ({"segment": [0.0, 1.0]} if split == "test" else {})
        database[f"{split}_{number}"] = {
            "subset": split,
            "duration": 1.92,
            "annotations": [annotation],
        }
    (tmp_path / "data" / "mine").mkdir(parents=True)
    (tmp_path / "data" / "mine" / "gt.json").write_text(json.dumps({"database": database}))
    environment = os.environ | {"WANDB_MODE": "disabled"}
    for line in commands():
        program, *words = shlex.split(re.sub(r"--epochs \d+", "--epochs 1", line))
        if program == "pip":
            continue
        assert program == "python"
        result = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
    results = [json.loads((tmp_path / f).read_text()) for f in ("found.json", "again.json")]
    assert results[0]["results"].keys() == results[1]["results"].keys() == {"test_4", "test_5"}
    assert (tmp_path / "found.csv").exists()
    assert sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert list((tmp_path / "data" / "mine" / "save").rglob("report.html"))
