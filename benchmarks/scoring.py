"""Time to score a test split on the CPU, the convolution in Winograd's and in the direct form.

    python benchmarks/scoring.py [--videos 40] [--rounds 3] [--precision fp32]

Random features of 2048 channels, videos of 40 to 750 snippets, in the loop of the program
(`engine.predict`). First the scores of both forms are compared, then both score the split in turns.
The floor is the time of the products of the direct convolution at the rate of a plain matrix
product, without the padding of the batches.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from benchmarks.measuring import matmul_rate
from benchmarks.random_data import random_split
from benchmarks.trainer import CHANNELS, CLASSES, SNIPPETS
from engine import predict
from models.acmnet import ACMNet
from utils.device import choose_device
from utils.errors import command

FORMS = ("winograd", "direct")
TOLERANCE = 1e-4  # of a score between 0 and 1, or of a logit


@command("benchmarks/scoring.py")
def main() -> None:
    """Compares the scores, then the times."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--videos", type=int, default=40, metavar="N", help="number of videos (40)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="timed rounds (3)")
    parser.add_argument("--precision", default="fp32", help="as of main_thu.py")
    given = parser.parse_args()
    device = choose_device("cpu", "0", given.precision)
    torch.manual_seed(0)
    lengths = torch.randint(40, SNIPPETS + 1, (given.videos,))
    split = random_split(lengths, CHANNELS, torch.ones(given.videos, CLASSES), torch.float32)
    nets = {form: ACMNet(CHANNELS, CLASSES, temporal_conv=form) for form in FORMS}
    nets["direct"].load_state_dict(nets["winograd"].state_dict())
    device.keep_freed_memory()

    found = {form: predict(net, split, SNIPPETS, device) for form, net in nets.items()}
    for ours, direct in zip(found["winograd"], found["direct"], strict=True):
        for field in ("cas", "attention", "class_scores"):
            one, other = getattr(ours, field), getattr(direct, field)
            np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE)
    times: dict[str, list[float]] = {form: [] for form in FORMS}
    for _ in range(given.rounds):
        for form, net in nets.items():
            began = time.perf_counter()
            predict(net, split, SNIPPETS, device)
            times[form].append(time.perf_counter() - began)
    floor = 2 * int(lengths.sum()) * CHANNELS**2 * 3 / matmul_rate(device)
    print(
        f"{device}; torch {torch.__version__}; {given.videos} videos, {int(lengths.sum())} snippets"
    )
    print(f"scores equal to {TOLERANCE:g}; floor of the direct form {floor:.2f} s")
    medians = {form: statistics.median(seconds) for form, seconds in times.items()}
    for form, median in medians.items():
        print(f"{form:10}{median:7.2f} s   {median / floor:.2f} x the floor")
    print(f"winograd takes {medians['winograd'] / medians['direct']:.2f} of the time of direct")


if __name__ == "__main__":
    main()
