"""What a stage needs, made from the settings: network, batches, criterion, optimizer, record.

The first stage trains ACM-Net on videos, the second (`--ftcl`) FTCL-Net on pairs of videos.
"""

from pathlib import Path
from typing import Any

import torch

from config.model_config import Config
from dataset.batches import VideoBatches
from dataset.layouts import Dataset, Split
from dataset.pairs import PairBatches
from engine import train_one_epoch
from eval.evaluator import Evaluator
from models.acmnet import ACMNet
from models.criteria import ACMCriterion, Criterion, FTCLCriterion
from models.ftclnet import FTCLNet
from record.checkpoint import load_weights
from record.environment import describe_environment
from record.run_log import RunLog, read_resume_point
from utils.device import Device
from utils.distributed import Processes

CONTRAST_PARAMETERS = ("feature_trans.", "delete_trans.")  # what FTCL-Net has beyond ACM-Net


def build_network(config: Config, data: Dataset, checkpoint: dict[str, Any]) -> ACMNet:
    """The network, with the weights of the checkpoint if there is one.

    Raises:
        UserError: if the checkpoint is of another network or other features.
    """
    divisors = (config.ins_topk_seg, config.con_topk_seg, config.bak_topk_seg)
    size = (data.feature_dim, len(data.classes), config.dropout, divisors)
    if config.test or not config.ftcl:  # evaluation needs nothing of what FTCL-Net adds
        net = ACMNet(*size)
        optional = {"may_have": CONTRAST_PARAMETERS}
    else:
        net = FTCLNet(*size, config.fc_dim, separate_gaps=config.objective == "paper")
        optional = {"may_lack": CONTRAST_PARAMETERS}
    if checkpoint:
        load_weights(net, checkpoint["model_state_dict"], Path(config.checkpoint), **optional)
    elif config.ftcl:
        print("warning: --ftcl without --checkpoint starts from random weights, not from ACM-Net")
    return net


def build_batches(
    config: Config, split: Split, generator: torch.Generator, device: torch.device
) -> VideoBatches | PairBatches:
    """The batches of every epoch.

    Raises:
        UserError: with `--ftcl`, if the videos make no positive or no negative pair.
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
    )


def build_criterion(config: Config) -> Criterion:
    """What is minimised."""
    if not config.ftcl or (config.without_fsd and config.without_lcs):
        return ACMCriterion(config.feat_margin)
    return FTCLCriterion(
        config.feat_margin,
        fsd=not config.without_fsd,
        lcs=not config.without_lcs,
        fsd_len=config.fsd_len,
        lcs_len=config.lcs_len,
        gamma=config.gamma,
        threshold=config.lcs_threshold,
        objective=config.objective,
        background=config.background,
        distinct=config.distinct_candidates,
        eta=config.ranking_eta,
    )


def loss_weights(config: Config) -> dict[str, float]:
    """Weights of the terms; the cross-entropies, which are not named, count once."""
    return {
        "guide": config.loss_lamb_guide,
        "feature": config.loss_lamb_feat,
        "sparse": config.loss_lamb_sparse,
        "fsd": config.loss_lamb_fsd,
        "lcs": config.loss_lamb_lcs,
    }


def build_optimizer(config: Config, net: ACMNet) -> torch.optim.Adam:
    """Fused Adam, which can leave out a step on the device (see `engine.train_one_epoch`)."""
    return torch.optim.Adam(
        net.parameters(),
        lr=config.lr,
        betas=(config.adam_beta1, config.adam_beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )


def try_step(
    config: Config, net: ACMNet, split: Split, optimizer: torch.optim.Adam, device: Device
) -> None:
    """Does one training step with these settings, to see whether it fits into memory."""
    batches = build_batches(config, split, torch.Generator(), device.device)
    first = [next(iter(batches))]
    criterion, weights = build_criterion(config), loss_weights(config)
    train_one_epoch(net, criterion, weights, first, split, optimizer, device, lambda: None)


def build_evaluator(config: Config, data: Dataset) -> Evaluator:
    """How the scores of the test videos become segments and mAP."""
    return Evaluator(
        data.database,
        [video.name for video in data.splits["test"].videos],
        data.classes,
        config.tiou,
        cas_thresholds=config.cas_thresholds,
        attention_thresholds=config.attention_thresholds,
        class_threshold=config.class_threshold,
        upsampling=config.upsampling,
        outer=config.outer_ratio,
        nms_tiou=config.nms_tiou,
        nms_offset=config.nms_offset,
        frames_per_second=config.frames_per_second,
        snippet_frames=config.snippet_frames,
    )


def resume_state(config: Config, data: Dataset, processes: Processes) -> dict[str, Any] | None:
    """The state to go on from; None without `--resume`, or if the run has no checkpoint yet.

    Raises:
        UserError: if the run cannot be resumed with these settings and data.
    """
    if not config.resume:
        return None
    settings = _settings(config, data)
    state = processes.broadcast_object(
        lambda: read_resume_point(config.run_dir, config.dataset, settings, config.force)
    )
    if state and len(state["random"]) != processes.world_size:
        print(
            f"{len(state['random'])} processes before, {processes.world_size} now: the run goes on with "
            "other dropout masks than it would have had"
        )
    return state


def open_log(
    config: Config, data: Dataset, processes: Processes, state: dict[str, Any] | None
) -> RunLog | None:
    """The record of the run, in the main process.

    Raises:
        UserError: if the folder of the run cannot be written.
    """
    log = None
    if processes.is_main:
        log = RunLog(
            config.run_dir,
            config.dataset,
            _settings(config, data),
            about={**describe_environment(), "processes": processes.world_size},
            resumed=state,
            resuming=config.resume,
            checkpoint_seconds=config.checkpoint_seconds,
            wandb_project=None if config.without_wandb else config.wandb_project,
            wandb_group=config.group,
            wandb_name=config.model_name,
        )
    processes.barrier()
    return log


def _settings(config: Config, data: Dataset) -> dict[str, Any]:
    """What a run is known by: its settings and its data."""
    return {**config.as_dict(), "data": data.fingerprint}


def warn_of_other_data(checkpoint: dict[str, Any], data: Dataset) -> None:
    """Says so if a checkpoint was trained beside other test data than these."""
    stored = checkpoint.get("config", {}).get("data")
    for part, now in data.fingerprint.items():
        then = stored.get(part) if isinstance(stored, dict) else None
        if then is None or then == now:
            continue
        said = f"warning: the {part} data are not those that the checkpoint was trained beside"
        if isinstance(now, dict) and isinstance(then, dict):
            counts = [(name, then.get(name), now[name]) for name in ("videos", "rows")]
            if all(before == after for _, before, after in counts):
                said += ": as many videos and rows, other names or values (as after --to float16)"
            else:
                said += ": " + ", ".join(f"{b} {name} then, {a} now" for name, b, a in counts)
        print(said)
