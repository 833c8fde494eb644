"""An experiment from the flags to checkpoints, mAP and report: trains, or tests one checkpoint."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from build import (
    build_batches,
    build_criterion,
    build_evaluator,
    build_network,
    build_optimizer,
    build_timelines,
    describe_convolution,
    loss_weights,
    try_step,
)
from config.model_config import Config, make_config, names_of, settings_of
from dataset.classes import Classes, check_same_classes, find_classes
from dataset.dataset import Dataset
from dataset.from_config import reading_options
from dataset.layouts import read_dataset
from engine import PREDICTED_SNIPPETS, predict, train_one_epoch
from eval.dashboard import class_table
from eval.detection.prediction_file import write_predictions
from eval.evaluator import Evaluation, Evaluator
from eval.scores import VideoScores
from eval.scores_file import write_scores
from record.checkpoint import read_checkpoint, restore_training, stored_classes
from record.environment import command_line, describe_environment
from record.resume import resume_state, settings_and_data, warn_of_other_data
from record.run_lock import locked, refuse_if_running
from record.run_log import open_run_log
from record.summary import as_text, spread, summary
from record.wandb_logs import log_test
from utils.device import Device, choose_device, explain_out_of_memory
from utils.distributed import Processes, all_processes
from utils.progress import progress_bar
from utils.seed import random_state, seed_everything

SMALLER = "a smaller --num_snippets"  # what reduces the memory besides a smaller batch


def main(flags: Mapping[str, Any], default_dataset: str) -> None:
    """Trains or tests as the flags say, in as many processes as torchrun has started.

    Args:
        flags: Flags that were given, by name.
        default_dataset: Data set if neither `--dataset` nor the tested checkpoint names one.
    """
    with all_processes() as processes:
        train_or_test(flags, default_dataset, processes)


def train_or_test(flags: Mapping[str, Any], default_dataset: str, processes: Processes) -> None:
    """Reads checkpoints and data, then trains once per seed or tests."""
    config = make_config(**{"dataset": default_dataset, **flags})
    configs = config.per_seed()
    checkpoints = [read_checkpoint(Path(c.checkpoint)) if c.checkpoint else {} for c in configs]
    if config.test:  # with the settings of its training, unless a flag says otherwise
        trained = {**settings_of(checkpoints[0]), **names_of(checkpoints[0])}
        config = make_config(**{"dataset": default_dataset, **trained, **flags})
    pairs = zip(checkpoints, configs, strict=True)
    stored = [stored_classes(checkpoint, each.checkpoint) for checkpoint, each in pairs]
    classes = find_classes(config, stored[0])
    gpu = str(processes.local_rank) if processes.world_size > 1 else config.gpu
    device = choose_device(config.device, gpu, config.precision, config.deterministic)
    print(f"computing on {device}, {processes}")
    with explain_out_of_memory(device, SMALLER):
        run_dirs = [c.run_dir for c in configs if processes.is_main and not config.test]
        refuse_if_running(run_dirs)
        data = read_data(config, classes, device, processes)
        classes = classes._replace(names=data.classes)
        for each, names in zip(configs, stored, strict=True):
            check_same_classes(names, each.checkpoint, classes)
        evaluator = build_evaluator(config, data)
        if config.test:
            test(config, device, data, checkpoints[0], evaluator, processes)
            return
        if not evaluator.is_possible:
            print(
                "warning: no test video has an annotated instance, so no epoch is evaluated and "
                f"{config.best_checkpoint.name} will be the last epoch"
            )
        with locked(run_dirs):
            for each, checkpoint in zip(configs, checkpoints, strict=True):
                train(each, device, data, checkpoint, evaluator, processes)
    if len(configs) > 1 and processes.is_main and evaluator.is_possible:
        table = summary({f"seed {c.seed}": c.run_dir for c in configs})
        print(f"last epoch of each seed:\n{as_text(table)}\n{as_text(spread(table))}")


def read_data(config: Config, classes: Classes, device: Device, processes: Processes) -> Dataset:
    """The data directory, read once per node, with its tensors on the device."""
    data = processes.once_per_node(
        lambda: read_dataset(
            Path(config.data_dir),
            classes.names,
            ["test"] if config.test else ["train", "test"],
            workers=config.num_workers,
            memory_budget=device.memory_budget(config.feature_memory),
            row_type=device.storage_dtype,
            **reading_options(config, classes),
        )
    ).to(device.device)
    device.keep_freed_memory()
    return data


def train(
    config: Config,
    device: Device,
    data: Dataset,
    checkpoint: dict[str, Any],
    evaluator: Evaluator,
    processes: Processes,
) -> None:
    """Trains for all epochs; evaluates, logs and saves after each."""
    generator = seed_everything(config.seed, processes.rank)
    net = build_network(config, data, checkpoint).to(device.device)
    videos = config.batch_size * (2 if config.ftcl else 1) // processes.world_size
    print(describe_convolution(net, videos, config.num_snippets, device))
    split = data.splits["train"]
    batches = build_batches(config, split, generator, device.device)
    criterion, weights = build_criterion(config, net), loss_weights(config)
    optimizer = build_optimizer(config, net)
    done = config.start_epoch
    state = resume_state(config, data, processes)
    if state:
        restore_training(state, config.latest_checkpoint, net, optimizer, generator, processes.rank)
        done = state["epoch"]
    timelines = build_timelines(config, data, evaluator)
    log = open_run_log(config, data, processes, state)
    trained = processes.data_parallel(net)

    def try_batch_size(size: int) -> None:
        try_step(replace(config, batch_size=size), net, split, optimizer, device)

    epochs = range(done + 1, config.epochs + 1)
    evaluation = None
    with log or nullcontext(), progress_bar(len(epochs) * len(batches), "step") as bar:
        for epoch in epochs:
            began = time.perf_counter()
            # Several processes cannot try other sizes: each would wait for the others.
            trial = try_batch_size if processes.world_size == 1 else None
            with explain_out_of_memory(device, SMALLER, config.batch_size, trial):
                report = train_one_epoch(
                    trained,
                    criterion,
                    weights,
                    batches,
                    split,
                    optimizer,
                    device,
                    bar.update,
                    processes,
                )
            ended = time.perf_counter()
            metrics = {
                **report.metrics(weights),
                "learning rate": optimizer.param_groups[0]["lr"],
                "seconds/training": ended - began,
            }
            evaluation, draw = None, None
            if epoch >= config.start_test_epoch or epoch == config.epochs:
                evaluation, scores = evaluate(config, device, data, net, evaluator, processes)
            if evaluation:
                metrics |= evaluation.metrics()
                metrics["seconds/evaluation"] = time.perf_counter() - ended
                if timelines.are_due(epoch):
                    draw = timelines.of(scores, evaluation)
            states = processes.gather(random_state(generator))
            if log:
                log.end_epoch(
                    epoch,
                    metrics,
                    evaluation.main_metric() if evaluation else None,
                    {
                        "model_state_dict": net.state_dict(),
                        "network": type(net).__name__,
                        "classes": list(data.classes),
                    },
                    {"optimizer": optimizer.state_dict(), "random": states},
                    training_warnings(metrics),
                    table=class_table(evaluation) if evaluation else None,
                    draw=draw,
                )
            processes.barrier()
    if evaluation:
        print(evaluation.text())
    elif not epochs:
        print(f"the run has finished its {done} epochs; continue it with a larger --epochs")


def evaluate(
    config: Config,
    device: Device,
    data: Dataset,
    net: nn.Module,
    evaluator: Evaluator,
    processes: Processes,
) -> tuple[Evaluation | None, list[VideoScores]]:
    """Evaluates the network on the test videos.

    Returns:
        The evaluation and the scores in the main process; None and no scores in the others, and if
        no test video has an annotated instance.
    """
    if not evaluator.is_possible:
        return None, []
    scores = predict(net, data.splits["test"], config.num_snippets, device, processes=processes)
    return (evaluator(scores) if processes.is_main else None), scores


def training_warnings(metrics: Mapping[str, float]) -> list[str]:
    """Warnings about the metrics of an epoch; the run log prints each of them once per run."""
    if metrics.get("lcs match share") != 0:
        return []
    return [
        "no two snippets were as similar as --thres requires, so the LCS loss has no effect; "
        "lower --thres or train with --without_lcs"
    ]


def test(
    config: Config,
    device: Device,
    data: Dataset,
    checkpoint: dict[str, Any],
    evaluator: Evaluator,
    processes: Processes,
) -> None:
    """Evaluates a checkpoint; writes predictions and report beside it or into `--save_dir`."""
    warn_of_other_data(checkpoint, data)
    net = build_network(config, data, checkpoint).to(device.device)
    videos = max(PREDICTED_SNIPPETS // config.num_snippets, 1)
    print(describe_convolution(net, videos, config.num_snippets, device))
    split = data.splits["test"]
    with progress_bar(len(split.videos), "video", "scoring") as bar:
        scores = predict(net, split, config.num_snippets, device, bar.update, processes=processes)
    if not processes.is_main:
        return
    evaluation = evaluator(scores)
    file = Path(config.checkpoint)
    directory = Path(config.save_dir or file.parent)
    predictions = directory / f"{file.stem}_predictions.json"
    write_predictions(predictions, evaluation.detections)
    scores_file = directory / f"{file.stem}_scores.npz"
    write_scores(scores_file, scores, evaluator.classes, config.snippet_seconds)
    print(f"{evaluation.text()}\npredictions: {predictions}\nscores: {scores_file}")
    artifacts = {"predictions": [predictions]}
    if config.report:
        from eval.report.page import VideoContents, write_report  # few runs need them
        from prediction.report_alignment import report_alignment

        page = write_report(
            directory / f"{file.stem}_report",
            evaluation,
            evaluator.truth,
            VideoContents(scores, evaluator.classes, config.snippet_seconds),
            title=str(file),
            # those of the training, except for those that the evaluation used
            settings={
                **{n: v for n, v in checkpoint.get("config", {}).items() if n != "data"},
                **settings_of({"config": config.as_dict()}),
            },
            command=command_line(),
            versions=describe_environment(),
            length_edges=config.spec.length_edges,
            number_edges=config.spec.number_edges,
            unpredicted=evaluation.unlisted,
            alignment=report_alignment(checkpoint, config, data, device),
        )
        print(f"report: {page}")
        artifacts["report"] = [page.parent]
    if config.wandb_test or config.wandb_artifacts:
        log_test(
            config,
            directory,
            settings_and_data(config, data),
            checkpoint.get("epoch", 0),
            evaluation.metrics(),
            evaluation.main_metric(),
            class_table(evaluation),
            build_timelines(config, data, evaluator).of(scores, evaluation),
            artifacts,
        )
