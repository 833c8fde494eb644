"""Time of every part of an evaluation of THUMOS14 size, against the copy floor and earlier code.

    git worktree add --detach DIR COMMIT
    python benchmarks/evaluation_parts.py [--before DIR] [--rounds 3] [--keep_freed_memory]

The floor is the time that reading and writing the upsampled sequences once takes at the rate of a
memory copy. With --before, the evaluation of another checkout is measured as well: the two
alternate, each round in a process of its own. Their detections must be equal to 1e-12 before any
time is printed. --keep_freed_memory allocates as main_thu.py does; otherwise the C library returns
large arrays to the system.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 21  # calls in a process, of which the median counts
COLUMNS = ("video", "label", "start", "end", "score")


def measure(keep_freed_memory: bool, output: Path) -> None:
    """Writes the times of the parts in milliseconds and the results; imports from `sys.path`."""
    from benchmarks.random_scores import (
        CLASSES,
        SETTINGS,
        annotate,
        random_scores,
        thumos14_evaluator,
    )
    from eval.classification import classification_map
    from eval.detection.average_precision import detection_map
    from eval.localization import propose
    from eval.nms import non_maximum_suppression
    from utils import memory

    if keep_freed_memory:
        memory.keep_freed_memory()
    videos = random_scores()
    evaluator = thumos14_evaluator(annotate(videos))
    proposals = propose(videos, CLASSES, SETTINGS)
    kept = non_maximum_suppression(proposals, SETTINGS.nms_tiou, SETTINGS.nms_offset)
    scores = np.stack([video.class_scores[: len(CLASSES)] for video in videos])
    result = evaluator(videos)
    parts: dict[str, Callable[[], object]] = {
        "proposals": lambda: propose(videos, CLASSES, SETTINGS),
        "NMS": lambda: non_maximum_suppression(proposals, SETTINGS.nms_tiou, SETTINGS.nms_offset),
        "mAP": lambda: detection_map(evaluator.truth, kept, evaluator.tiou),
        "classification": lambda: classification_map(scores, evaluator.labels),
        "whole evaluation": lambda: evaluator(videos),
    }
    searched = np.maximum((scores > SETTINGS.class_threshold).sum(axis=1), 1)
    steps = SETTINGS.upsampling * np.array([len(video.attention) for video in videos])
    np.savez(
        output,
        names=list(parts),
        ms=[median_ms(call) for call in parts.values()],
        bytes=8 * (steps * searched).sum(),
        average_precision=result.detection.average_precision,
        classification=result.classification,
        **{f"proposals_{name}": getattr(proposals, name) for name in COLUMNS},
        **{f"kept_{name}": getattr(kept, name) for name in COLUMNS},
    )


def median_ms(call: Callable[[], object]) -> float:
    """Median time of a call in milliseconds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def measured(checkout: Path, flags: list[str]) -> dict[str, NDArray]:
    """What `measure` writes in a new process that imports the code of a checkout."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "measured.npz")
        command = [sys.executable, __file__, "--measure", str(checkout), str(output), *flags]
        subprocess.run(command, cwd=checkout, check=True)
        with np.load(output) as file:
            return dict(file)


def compare(found: dict[str, NDArray], expected: dict[str, NDArray]) -> None:
    """Raises an AssertionError if two evaluations differ by more than 1e-12."""
    for name in found.keys() - {"names", "ms"}:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-15)


def report(before: Path | None, rounds: int, flags: list[str]) -> None:
    """Prints the medians over the rounds, as a table in Markdown."""
    from benchmarks.measuring import copy_rate
    from utils.device import choose_device

    checkouts = [ROOT] if before is None else [before.resolve(), ROOT]
    runs = [[measured(checkout, flags) for checkout in checkouts] for _ in range(rounds)]
    for one in runs:
        compare(one[-1], one[0])
    rate = copy_rate(choose_device("cpu", "0", "fp32"))
    floor = 2e3 * float(runs[0][0]["bytes"]) / rate
    print(f"copy {rate / 1e9:.1f} GB/s, floor {floor:.2f} ms; equal to 1e-12: {before or 'itself'}")
    medians = np.median([[code["ms"] for code in one] for one in runs], axis=0)  # (codes, parts)
    titles = ["ms", "to the floor"] if before is None else ["before, ms", "to the floor", "now, ms"]
    titles += [] if before is None else ["to the floor", "ratio"]
    print(" | ".join(["part", *titles]))
    for name, times in zip(runs[0][0]["names"], medians.T, strict=True):
        row = [text for ms in times for text in (f"{ms:.1f}", f"{ms / floor:.0f}")]
        row += [f"{times[0] / times[-1]:.2f}"] if len(times) > 1 else []
        print(" | ".join([str(name), *row]))


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--before", type=Path, metavar="DIR", help="checkout to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="processes per checkout")
    parser.add_argument("--keep_freed_memory", action="store_true", help="as main_thu.py does")
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    checkout = chosen.measure[0] if chosen.measure else ROOT
    sys.path[0] = str(checkout)  # instead of the directory of this script
    if chosen.measure:
        measure(chosen.keep_freed_memory, chosen.measure[1])
    else:
        flags = ["--keep_freed_memory"] if chosen.keep_freed_memory else []
        report(chosen.before, chosen.rounds, flags)


if __name__ == "__main__":
    main()
