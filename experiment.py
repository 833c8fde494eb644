"""What main_thu.py does when everything is read: a training run, and a test.

Training goes epoch by epoch: train, evaluate, record; a test evaluates one checkpoint.
"""

import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from build import (
    build_batches,
    build_criterion,
    build_evaluator,
    build_network,
    build_optimizer,
    loss_weights,
    open_log,
    resume_state,
    try_step,
    warn_of_other_data,
)
from config.model_config import Config, settings_of
from dataset.layouts import Dataset
from engine import predict, train_one_epoch
from eval.detection.prediction_file import write_predictions
from record.checkpoint import restore_training
from utils.device import Device, explain_out_of_memory
from utils.distributed import Processes
from utils.seed import random_state, seed_everything


def train(
    config: Config,
    device: Device,
    data: Dataset,
    checkpoint: dict[str, Any],
    processes: Processes,
) -> None:
    """Trains for all epochs; evaluates, logs and saves after each."""
    generator = seed_everything(config.seed, processes.rank)
    net = build_network(config, data, checkpoint).to(device.device)
    train_split, test_split = data.splits["train"], data.splits["test"]
    batches = build_batches(config, train_split, generator, device.device)
    criterion, weights = build_criterion(config), loss_weights(config)
    optimizer = build_optimizer(config, net)
    evaluator = build_evaluator(config, data)
    done = config.start_epoch
    state = resume_state(config, data, processes)
    if state:
        latest = config.run_dir / f"{config.dataset}_latest.pth"
        restore_training(state, latest, net, optimizer, generator, processes.rank)
        done = state["epoch"]
    log = open_log(config, data, processes, state)
    processes.broadcast(list(net.state_dict().values()))

    def with_batch_size(size: int) -> None:
        share = -(-size // processes.world_size)
        try_step(replace(config, batch_size=share), net, train_split, optimizer, device)

    epochs = range(done + 1, config.epochs + 1)
    advice = "a smaller --num_snippets"
    evaluation = None
    with log or nullcontext(), tqdm(total=len(epochs) * len(batches), unit="step") as bar:
        for epoch in epochs:
            began = time.perf_counter()
            with explain_out_of_memory(device, advice, config.batch_size, with_batch_size):
                report = train_one_epoch(
                    net,
                    criterion,
                    weights,
                    batches,
                    train_split,
                    optimizer,
                    device,
                    bar.update,
                    processes,
                )
            trained = time.perf_counter()
            metrics = {**report.metrics(weights), "seconds/training": trained - began}
            evaluation = None
            if epoch >= config.start_test_epoch or epoch == config.epochs:
                scores = predict(net, test_split, config.num_snippets, device, processes=processes)
                if processes.is_main:
                    evaluation = evaluator(scores)
                    metrics |= evaluation.metrics()
                    metrics["seconds/evaluation"] = time.perf_counter() - trained
            states = processes.gather(random_state(generator))
            if log:
                log.end_epoch(
                    epoch,
                    metrics,
                    evaluation.headline() if evaluation else None,
                    {"model_state_dict": net.state_dict(), "network": type(net).__name__},
                    {"optimizer": optimizer.state_dict(), "random": states},
                )
            processes.barrier()
    finished = f"the run is finished: {done} epochs are done; a larger --epochs goes on"
    print(evaluation.text() if evaluation else finished)


def test(
    config: Config,
    device: Device,
    data: Dataset,
    checkpoint: dict[str, Any],
    processes: Processes,
) -> None:
    """Evaluates and writes the predictions beside the checkpoint or into `--save_dir`."""
    warn_of_other_data(checkpoint, data)
    net = build_network(config, data, checkpoint).to(device.device)
    split = data.splits["test"]
    with tqdm(total=len(split.videos), desc="scoring", unit="video") as bar:
        scores = predict(net, split, config.num_snippets, device, bar.update, processes=processes)
    if not processes.is_main:
        return
    evaluator = build_evaluator(config, data)
    evaluation = evaluator(scores)
    file = Path(config.checkpoint)
    folder = Path(config.save_dir or file.parent)
    path = folder / f"{file.stem}_predictions.json"
    write_predictions(path, evaluation.detections)
    print(f"{evaluation.text()}\npredictions: {path}")
    if config.report:
        from eval.report.page import write_report  # matplotlib takes its time, and few runs draw

        page = write_report(
            folder / f"{file.stem}_report",
            evaluation,
            scores,
            evaluator.truth,
            title=str(file),
            # of the training, but for those that the evaluation went by
            settings={
                **{n: v for n, v in checkpoint.get("config", {}).items() if n != "data"},
                **settings_of({"config": config.as_dict()}),
            },
            snippet_seconds=config.snippet_seconds,
        )
        print(f"report: {page}")
