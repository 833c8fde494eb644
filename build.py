"""Factories: network, batches, criterion, optimizer, evaluator and timelines from the config.

The first stage trains ACM-Net on videos, the second (`--ftcl`) FTCL-Net on pairs of videos.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from config.model_config import Config
from dataset.batches import VideoBatches
from dataset.dataset import Dataset, Split
from dataset.pairs import PairBatches
from engine import train_one_epoch
from eval.dashboard import Timelines, timeline_videos
from eval.evaluator import Evaluator
from models.acmnet import ACMNet
from models.contrastive import ContrastiveLosses
from models.criteria import ACMCriterion, Criterion, FTCLCriterion
from models.ftclnet import FTCLNet
from models.temporal_conv import TemporalConv
from record.checkpoint import load_weights
from utils.device import Device

PROJECTION = ("feature_trans.", "delete_trans.")  # parameters that only FTCL-Net has


class DataSize(Protocol):
    """What a network has to know about the data; a `Dataset` is one."""

    @property
    def classes(self) -> Sequence[str]:
        """Class names in index order."""

    @property
    def feature_dim(self) -> int:
        """Channels of a snippet."""


def build_network(config: Config, data: DataSize, checkpoint: dict[str, Any]) -> nn.Module:
    """Builds the network and loads the weights of the checkpoint, if there is one.

    Raises:
        UserError: If the checkpoint belongs to another network or other features.
    """
    divisors = (config.ins_topk_seg, config.con_topk_seg, config.bak_topk_seg)
    size = (
        data.feature_dim,
        len(data.classes),
        config.dropout,
        divisors,
        config.input_dropout,
    )
    form = config.temporal_conv
    if config.test or not config.ftcl:  # evaluation does not need the projection
        net = ACMNet(*size, temporal_conv=form)
        optional = {"allow_unexpected": PROJECTION}
    else:
        separate_gaps = config.objective == "paper"
        net = FTCLNet(*size, config.fc_dim, separate_gaps, temporal_conv=form)
        if config.without_fsd:
            # DistributedDataParallel waits for the gradient of every parameter that requires one.
            for name, parameter in net.named_parameters():
                parameter.requires_grad_(not name.startswith(PROJECTION))
        optional = {"allow_missing": PROJECTION}
    if checkpoint:
        load_weights(net, checkpoint["model_state_dict"], Path(config.checkpoint), **optional)
    elif config.ftcl:
        print("warning: --ftcl without --checkpoint starts from random weights, not from ACM-Net")
    return net


def describe_convolution(net: nn.Module, videos: int, num_snippets: int, device: Device) -> str:
    """A line that names the form of the temporal convolution for batches of this size."""
    convolutions = [module for module in net.modules() if isinstance(module, TemporalConv)]
    names = [
        c.form_name(videos, num_snippets, device.storage_dtype, device.device) for c in convolutions
    ]
    return f"temporal convolution: {', '.join(dict.fromkeys(names)) or 'none'}"


def build_batches(
    config: Config, split: Split, generator: torch.Generator, device: torch.device
) -> VideoBatches | PairBatches:
    """Builds the batches: of videos, or with `--ftcl` of pairs of videos.

    Raises:
        UserError: With `--ftcl`, if the videos form no positive or no negative pair.
    """
    lengths = split.features.lengths
    if not config.ftcl:
        return VideoBatches(lengths, config.num_snippets, config.batch_size, generator, device)
    return PairBatches(
        split.labels,
        lengths,
        config.num_snippets,
        config.batch_size,
        config.resample_pairs,
        generator,
        device,
        config.pairs_per_epoch,
    )


def build_criterion(config: Config, net: nn.Module) -> Criterion:
    """Builds the training criterion: with contrastive losses if the network has a projection."""
    acm = ACMCriterion(config.feat_margin)
    if not isinstance(net, FTCLNet) or (config.without_fsd and config.without_lcs):
        return acm
    contrastive = ContrastiveLosses(
        net.project,
        fsd=not config.without_fsd,
        lcs=not config.without_lcs,
        fsd_len=config.fsd_len,
        lcs_len=config.lcs_len,
        gamma=config.gamma,
        lcs_threshold=config.lcs_threshold,
        objective=config.objective,
        background=config.background,
        distinct=config.distinct_candidates,
        eta=config.ranking_eta,
    )
    return FTCLCriterion(acm, contrastive)


def loss_weights(config: Config) -> dict[str, float]:
    """The weight of every loss in the total."""
    return {
        "instance": config.loss_lamb_instance,
        "context": 1.0,
        "background": 1.0,
        "guide": config.loss_lamb_guide,
        "feature": config.loss_lamb_feat,
        "sparse": config.loss_lamb_sparse,
        "fsd": config.loss_lamb_fsd,
        "lcs": config.loss_lamb_lcs,
    }


def build_optimizer(config: Config, net: nn.Module) -> torch.optim.Adam:
    """Builds a fused Adam, which can skip a step on the device (see `engine.train_one_epoch`)."""
    return torch.optim.Adam(
        net.parameters(),
        lr=config.lr,
        betas=(config.adam_beta1, config.adam_beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )


def try_step(
    config: Config, net: nn.Module, split: Split, optimizer: torch.optim.Adam, device: Device
) -> None:
    """Takes one training step with these settings, to see whether it fits into memory."""
    batches = build_batches(config, split, torch.Generator(), device.device)
    first = [next(iter(batches))]
    criterion, weights = build_criterion(config, net), loss_weights(config)
    train_one_epoch(net, criterion, weights, first, split, optimizer, device, lambda: None)


def build_evaluator(config: Config, data: Dataset) -> Evaluator:
    """Builds the evaluator: from the scores of the test videos to segments and mAP."""
    return Evaluator(
        data.database,
        [video.name for video in data.splits["test"].videos],
        data.classes,
        config.tiou,
        config.localization,
        config.spec.main_average,
        data.training,
    )


def build_timelines(config: Config, data: Dataset, evaluator: Evaluator) -> Timelines:
    """Builds what draws the timelines of some test videos for wandb.

    Raises:
        UserError: If a video of `--wandb_videos` is not a test video.
    """
    split = data.splits["test"]
    names = [video.name for video in split.videos]
    lengths = split.features.lengths.tolist()
    return Timelines(
        timeline_videos(config.wandb_videos, names, lengths, evaluator.truth),
        evaluator.truth,
        config.snippet_seconds,
        config.wandb_timelines,
        config.epochs,
    )
