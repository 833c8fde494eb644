"""Measured costs of one training step, of scoring, of an evaluation and of an alignment.

Every function measures one size, on random data in the shape of THUMOS14.
"""

import numpy as np
import torch

from benchmarks.measuring import median_ms, peak_memory, prepare
from benchmarks.random_data import random_split
from benchmarks.random_scores import (
    SETTINGS,
    annotate,
    random_scores,
    thumos14_evaluator,
    video_scores,
)
from benchmarks.trainer import CHANNELS, CLASSES, SNIPPETS, Trainer
from config.model_config import make_config
from engine import predict
from models.acmnet import ACMNet
from models.alignment import fine_grained_sequence_distance, longest_common_subsequence
from utils.device import Device

PAIRS, INSTANCES_PER_VIDEO = 16, 16
FLOAT64_BYTES = 8
HOST = Device(torch.device("cpu"), "fp32")


def step_cost(
    device: Device, ftcl: bool, snippets: int, classes: int
) -> tuple[float, float | None]:
    """Time of a training step in milliseconds, and peak memory of the process in bytes."""
    prepare(device)
    trainer = Trainer(make_config(ftcl=ftcl), device, snippets, classes).warm_up()
    for _ in range(3):
        trainer.step()
    return trainer.clock.median("step"), peak_memory(device)


def scoring_cost(device: Device, videos: int) -> tuple[float, int]:
    """Time of scoring all videos with the network in milliseconds, and the snippets it reads."""
    prepare(device)
    known = [video.snippets for video in random_scores()]
    lengths = torch.tensor([known[i % len(known)] for i in range(videos)])
    labels = torch.zeros(videos, CLASSES)
    split = random_split(lengths, CHANNELS, labels, device.storage_dtype).to(device.device)
    net = ACMNet(CHANNELS, CLASSES).to(device.device)
    used = int(lengths.clamp(max=SNIPPETS).sum())
    return median_ms(device, lambda: predict(net, split, SNIPPETS, device)), used


def evaluation_cost(videos: int, classes: int) -> tuple[float, int]:
    """Time of segments and mAP in milliseconds, and bytes of the upsampled sequences they read."""
    names = [f"class_{c}" for c in range(classes)]
    random = np.random.default_rng(0)
    known = [video.snippets for video in random_scores()]
    scores = [
        video_scores(f"video_{i}", known[i % len(known)], random, classes) for i in range(videos)
    ]
    evaluator = thumos14_evaluator(annotate(scores, names, INSTANCES_PER_VIDEO * videos), names)
    above = [int((video.class_scores[:-1] > SETTINGS.class_threshold).sum()) for video in scores]
    steps = sum(
        SETTINGS.upsampling * len(video.attention) * max(1, searched)
        for video, searched in zip(scores, above, strict=True)
    )
    return median_ms(HOST, lambda: evaluator(scores)), steps * FLOAT64_BYTES


def alignment_cost(device: Device, name: str, length: int) -> float:
    """Time of FSD or LCS for 16 pairs in milliseconds, forward and backward."""
    tables = [torch.rand(PAIRS, length, length, device=device.device) for _ in range(2)]

    def run() -> None:
        match, gap = (table.requires_grad_() for table in tables)
        if name == "FSD":
            score = fine_grained_sequence_distance(match, gap, gap)
        else:
            score = longest_common_subsequence(match, 0.92)
        torch.autograd.grad(score.sum(), [match])

    return median_ms(device, run)
