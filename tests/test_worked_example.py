"""The example "From pixels to segments" of docs/YOUR_DATA.md on nine real videos, in one call."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
ACTIONS = ("golf", "pullup", "shoot_bow")
STRIDE = 64  # frames per snippet: about 150 snippets, each of which takes half a second
# The last snippet shows 16 frames but stands for STRIDE, which may end after the video.
BEYOND = (STRIDE - 16) / 25

# With three classes instead of eight, so that the six training videos form positive pairs.
COMPOSE = """\
import sys
sys.path.insert(0, {folder!r})
import compose_videos
compose_videos.ACTIONS = {actions!r}
compose_videos.main()
"""


@pytest.mark.slow
def test_from_pixels_to_segments(real_data: Path, tmp_path: Path) -> None:
    """Extraction with the real RGB network, both stages, test with report, and prediction."""
    pytest.importorskip("av")
    data, runs, script = tmp_path / "data", tmp_path / "runs", tmp_path / "compose.py"
    script.write_text(COMPOSE.format(folder=str(real_data / "jhmdb_clips"), actions=ACTIONS))
    arguments: list[object] = [
        *("--data", data, "--output", runs, "--compose", f"{script} --train 6 --test 3"),
        *("--videos", data / "videos", "--streams", "rgb", "--stride", STRIDE),
        *("--rgb_weights", real_data / "i3d_network" / "rgb_imagenet.pt"),
        *("--epochs", 2, "--ftcl_epochs", 2, "--pairs_per_epoch", 8, "--num_snippets", 16),
    ]
    result = subprocess.run(
        [sys.executable, "tools/worked_example.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(result.stdout, result.stderr)
    assert result.returncode == 0
    database = json.loads((data / "gt.json").read_text())["database"]
    for name, video in database.items():
        features = np.load(data / video["subset"] / f"{name}.npy")
        assert features.shape == (features.shape[0], 1024)
        assert abs(len(features) - video["duration"] * 25 / STRIDE) <= 1
    assert "no problems" in result.stdout

    tested = [f"test_{number:03d}" for number in range(3)]
    for report in (runs / "custom_latest_report", runs / "report"):
        page = (report / "report.html").read_text()
        assert all(name in page for name in tested)
    assert all(f"{name}.mp4" in page for name in tested)  # the second one plays the videos

    with (runs / "prediction.csv").open(newline="") as file:
        segments = list(csv.DictReader(file))
    assert segments
    for segment in segments:
        assert segment["video"] == tested[0]
        assert segment["label"] in ACTIONS
        start, end = float(segment["start"]), float(segment["end"])
        assert 0 <= start < end <= database[tested[0]]["duration"] + BEYOND
    (predicted,) = json.loads((runs / "prediction.json").read_text())["results"].values()
    assert len(predicted) == len(segments)
    assert (runs / "prediction.png").stat().st_size > 1000
