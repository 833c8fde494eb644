"""THUMOS14: train ACM-Net, or evaluate a checkpoint.

python main_thu.py --group baseline --model_name acmnet --epochs 500
python main_thu.py --test --checkpoint data/THUMOS14/save/baseline/acmnet/THUMOS_best.pth
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from config.class_names import CLASS_NAMES
from config.command_line import parse_flags
from config.model_config import Config, make_config, settings_of
from dataset.batches import VideoBatches
from dataset.layout import Dataset, read_dataset
from engine import predict, train_one_epoch
from eval.predictions import write_predictions
from eval.protocol import Protocol
from models.acmnet import ACMNet
from models.losses import acm_losses
from utils.checkpoint import load_weights, read_checkpoint
from utils.device import Device, choose_device
from utils.errors import command
from utils.run_log import RunLog
from utils.seed import random_state, seed_everything

DESCRIPTION = "Weakly supervised temporal action localization on THUMOS14: trains or evaluates."


@command("main_thu.py")
def main() -> None:
    flags = parse_flags("main_thu.py", DESCRIPTION)
    config = make_config(**flags)
    checkpoint = read_checkpoint(Path(config.checkpoint)) if config.checkpoint else {}
    if config.test:  # evaluated as it was trained, unless a flag says otherwise
        config = make_config(**{**settings_of(checkpoint), **flags})
    device = choose_device(config.device, config.gpu, config.precision)
    print(f"computing on {device}")
    generator = seed_everything(config.seed)
    data = read_dataset(
        Path(config.data_dir),
        CLASS_NAMES[config.dataset],
        ["test"] if config.test else ["train", "test"],
        snippet_seconds=config.snippet_seconds,
        workers=config.num_workers,
    ).to(device.torch)
    net = build_network(config, data, checkpoint).to(device.torch)
    if config.test:
        test(config, device, data, net)
    else:
        train(config, device, data, net, generator)


def build_network(config: Config, data: Dataset, checkpoint: dict[str, Any]) -> ACMNet:
    """The network, with the weights of the checkpoint if there is one."""
    divisors = (config.ins_topk_seg, config.con_topk_seg, config.bak_topk_seg)
    net = ACMNet(data.feature_dim, len(data.classes), config.dropout, divisors)
    if checkpoint:
        weights = checkpoint["model_state_dict"]
        load_weights(net, weights, Path(config.checkpoint), may_have=["feature_trans."])
    return net


def train(
    config: Config, device: Device, data: Dataset, net: ACMNet, generator: torch.Generator
) -> None:
    """Trains for all epochs; evaluates, logs and saves after each."""
    split = data.splits["train"]
    batches = VideoBatches(
        split.features.lengths, config.num_snippets, config.batch_size, generator, device.torch
    )
    optimizer = torch.optim.Adam(
        net.parameters(),
        lr=config.lr,
        betas=(config.adam_beta1, config.adam_beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )
    weights = {
        "guide": config.loss_lamb_guide,
        "feature": config.loss_lamb_feat,
        "sparse": config.loss_lamb_sparse,
    }
    criterion = partial(acm_losses, feat_margin=config.feat_margin)
    protocol = make_protocol(config, data)
    log = RunLog(
        Path(config.save_dir or Path(config.data_dir, "save", config.group, config.model_name)),
        config.dataset,
        config.as_dict(),
        wandb_project=None if config.without_wandb else config.wandb_project,
        wandb_group=config.group,
        wandb_name=config.model_name,
    )
    bar = tqdm(total=(config.epochs - config.start_epoch) * len(batches), unit="step")
    for epoch in range(config.start_epoch + 1, config.epochs + 1):
        start = time.perf_counter()
        report = train_one_epoch(
            net, criterion, weights, batches, split, optimizer, device, bar.update
        )
        trained = time.perf_counter()
        metrics = {f"loss/{name}": value for name, value in report.losses.items()}
        metrics |= {f"skipped steps/{name}": count for name, count in report.skipped.items()}
        metrics["seconds/training"] = trained - start
        message = f"epoch {epoch:4d}   loss {report.losses['total']:8.4f}"
        score = None
        if epoch >= config.start_test_epoch or epoch == config.epochs:
            evaluation = protocol(predict(net, data.splits["test"], config.num_snippets, device))
            name, score = evaluation.headline()
            metrics |= evaluation.metrics()
            metrics["seconds/evaluation"] = time.perf_counter() - trained
            message += f"   mAP {name} {score:5.2f} %"
        log.end_epoch(
            epoch,
            metrics,
            score,
            {"model_state_dict": net.state_dict(), "network": "acmnet"},
            {"optimizer": optimizer.state_dict(), "random": random_state(generator)},
        )
        tqdm.write(message)
    bar.close()
    log.finish()
    print(f"last epoch ({config.epochs}):\n{evaluation.text()}")
    print(f"best epoch on the test videos: {log.best_epoch}, mAP {name} {log.best_score:.2f} %")
    print(f"checkpoints and metrics: {log.folder}")


def test(config: Config, device: Device, data: Dataset, net: ACMNet) -> None:
    """Evaluates and writes the predictions beside the checkpoint."""
    with tqdm(total=len(data.splits["test"].videos), desc="scoring", unit="video") as bar:
        scores = predict(net, data.splits["test"], config.num_snippets, device, bar.update)
    evaluation = make_protocol(config, data)(scores)
    checkpoint = Path(config.checkpoint)
    path = checkpoint.with_name(f"{checkpoint.stem}_predictions.json")
    write_predictions(path, evaluation.detections)
    print(evaluation.text())
    print(f"predictions: {path}")


def make_protocol(config: Config, data: Dataset) -> Protocol:
    """How the scores of the test videos become segments and mAP."""
    return Protocol(
        data.database,
        [video.name for video in data.splits["test"].videos],
        data.classes,
        config.tiou,
        cas_thresholds=config.cas_thresholds,
        attention_thresholds=config.attention_thresholds,
        class_threshold=config.class_threshold,
        upsampling=config.upsampling,
        outer=config.outer,
        nms_tiou=config.nms_tiou,
        nms_offset=config.nms_offset,
        frames_per_second=config.frames_per_second,
        snippet_frames=config.snippet_frames,
    )


if __name__ == "__main__":
    main()
