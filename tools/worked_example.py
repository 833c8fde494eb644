"""From a data directory, or from videos, to segments: runs every command of docs/YOUR_DATA.md.

    python tools/worked_example.py --data DATA --output RUNS
    python tools/worked_example.py --data DATA --output RUNS --videos DATA/videos \\
        --streams rgb --rgb_weights rgb_imagenet.pt

Extracts features if there are videos, checks the data, trains ACM-Net and FTCL-Net, evaluates the
last epoch with a report, which plays the videos if there are any, and predicts the first test video
without its annotations. Every command is printed before it runs; at the end, the mAP of both stages
and the time of every step follow.
Features that exist are not extracted again. With `--compose SCRIPT` the data directory is first
written by `python SCRIPT DATA`, unless it has a gt.json.
"""

import argparse
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from extraction.files import find_videos
from record.summary import as_text, summary
from tools.runs import call
from utils.errors import UserError, command

TEST_VIDEOS = "split_test.txt"


@command("tools/worked_example.py")
def main() -> None:
    """Runs all steps and prints the table of results."""
    options = _parser().parse_args()
    data, output = options.data.resolve(), options.output.resolve()
    seconds: dict[str, float] = {}
    if options.compose and not (data / "gt.json").exists():
        script, *arguments = shlex.split(options.compose)
        path = Path(script).resolve()
        seconds["writing the data"] = call(path, data, *arguments, show=True)
    extraction = _extraction_flags(options)
    if options.videos:
        videos = ("--videos", options.videos.resolve(), "--output", data)
        stride = ("--stride", options.stride)
        seconds["extraction"] = call("-m", "extraction", *videos, *extraction, *stride, show=True)

    timing = ("--dataset", "custom", "--snippet_frames", options.stride)
    seconds["check"] = call("-m", "dataset.check", data, *timing, show=True)
    common = (*timing, "--data_dir", data)
    acmnet, ftcl = output / "acmnet", output / "ftcl"
    numbers = ("--num_snippets", options.num_snippets, "--seed", options.seed)
    flags = (*common, *numbers, "--without_wandb")
    seconds["ACM-Net"] = call(
        "main_thu.py", *flags, "--save_dir", acmnet, "--epochs", options.epochs, show=True
    )
    start = ("--ftcl", "--checkpoint", acmnet / "custom_latest.pth")
    pairs = ("--pairs_per_epoch", options.pairs_per_epoch)
    run = ("--save_dir", ftcl, "--epochs", options.ftcl_epochs)
    seconds["FTCL-Net"] = call("main_thu.py", *flags, *start, *pairs, *run, show=True)
    checkpoint = ftcl / "custom_latest.pth"
    test = ("--test", "--checkpoint", checkpoint, "--data_dir", data, "--report")
    seconds["test and report"] = call("main_thu.py", *test, "--save_dir", output, show=True)
    if options.videos:
        seconds["report with videos"] = _report_with_videos(data, output, options.videos.resolve())
    target = output / "prediction"
    files = ("--json", f"{target}.json", "--csv", f"{target}.csv", "--figure", f"{target}.png")
    seconds["prediction of a test video"] = call(
        *("predict.py", "--checkpoint", checkpoint, _test_video(data, options.videos), *files),
        *("--top", 10, *(extraction if options.videos else ())),
        show=True,
    )
    print(as_text(summary({"ACM-Net": acmnet, "FTCL-Net": ftcl})))
    for step, taken in seconds.items():
        print(f"{step:30}{taken:8.0f} s")


def _report_with_videos(data: Path, output: Path, videos: Path) -> float:
    """Writes the report of the test in which a click on a segment plays it; returns seconds."""
    tested = output / "custom_latest"
    files = ("--predictions", f"{tested}_predictions.json", "--scores", f"{tested}_scores.npz")
    given = ("--dataset", "custom", "--ground_truth", data / "gt.json", "--videos", videos)
    return call("-m", "eval.report", *given, *files, "--output", output / "report", show=True)


def _extraction_flags(options: argparse.Namespace) -> list[object]:
    """Flags that the extraction and the prediction of a video share."""
    flags: list[object] = ["--streams", options.streams]
    for stream in ("rgb", "flow"):
        weights = getattr(options, f"{stream}_weights")
        if weights:
            flags += [f"--{stream}_weights", weights.resolve()]
    return flags


def _test_video(data: Path, videos: Path | None) -> Path:
    """The first test video, or its features if there are no videos."""
    split = data / TEST_VIDEOS
    if not split.exists():
        raise UserError(f"{split} does not exist; wanted the names of the test videos")
    name = split.read_text().split()[0]
    if videos is None:
        return data / "test" / f"{name}.npy"
    for video in find_videos(videos.resolve(), data):
        if video.source.stem == name:
            return video.source
    raise UserError(f"--videos {videos} has no test video {name}")


def _parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="DATA", help="data directory")
    add("--output", type=Path, required=True, metavar="RUNS", help="directory of the runs")
    add("--compose", metavar="SCRIPT", help="script, with flags, that writes the data directory")
    add("--videos", type=Path, metavar="DIR", help="videos to extract the features from")
    add("--streams", choices=("both", "rgb", "flow"), default="both", help="as of the extraction")
    add("--rgb_weights", type=Path, metavar="FILE", help="as of the extraction")
    add("--flow_weights", type=Path, metavar="FILE", help="as of the extraction")
    add("--stride", type=int, default=16, metavar="N", help="frames per snippet, at 25 per second")
    add("--epochs", type=int, default=60, metavar="N", help="epochs of ACM-Net")
    add("--ftcl_epochs", type=int, default=6, metavar="N", help="epochs of FTCL-Net")
    add("--pairs_per_epoch", type=int, default=320, metavar="N", help="pairs per epoch; 0: all")
    add("--num_snippets", type=int, default=256, metavar="N", help="snippets sampled per video")
    add("--seed", type=int, default=0, metavar="N", help="seed of both stages")
    return parser


if __name__ == "__main__":
    main()
