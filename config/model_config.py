"""Every hyper-parameter, one field per line; the command line is made from these lines.

A value that depends on the data set or on the stage has no default in its line but one in the
`DatasetSpec` or in `STAGES` below.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from config.datasets import DATASETS, DatasetSpec, find_dataset
from config.localization import LocalizationSettings, localization_settings, snippets
from config.setting import BY_DATASET, BY_STAGE, check_settings, flag_of, group
from utils.errors import UserError

experiment = group("experiment")
data = group("data")
network = group("network", in_checkpoint=True)
training = group("training")
loss = group("loss weights (unitless)")
contrastive = group("contrastive losses of FTCL-Net (with --ftcl)")
evaluation = group("evaluation", in_checkpoint=True)

STAGES: dict[bool, dict[str, Any]] = {
    False: {"epochs": 500},  # ACM-Net
    True: {"epochs": 25},  # --ftcl
}


@dataclass(frozen=True, kw_only=True)
class Config(LocalizationSettings):
    """All settings, validated on construction: a wrong value raises a `UserError` naming the flag."""

    # fmt: off
    dataset: str = experiment("THUMOS", "data set; sets the defaults below", in_checkpoint=True, choices=tuple(DATASETS))
    group: str = experiment("baseline", "group of runs: directory below <data_dir>/save and group in wandb", plain=True)
    model_name: str = experiment("acmnet", "name of the run: directory below the group and name in wandb", plain=True)
    seed: int = experiment(0, "seed of every random generator", at_least=0, below=2**63)
    seeds: tuple[int, ...] = experiment((), "train once for each of these seeds, in subdirectories seed-N, and compare the results", at_least=0, below=2**63)
    checkpoint: str = experiment("", "file with the weights to start from or, with --test, to evaluate: of this implementation or an official one; {seed} in it is replaced by the seed", metavar="FILE")
    test: bool = experiment(False, "evaluate --checkpoint and write its predictions; no training")
    report: bool = experiment(False, "with --test: also write a page with tables and timelines of videos", free_on_resume=True)
    ftcl: bool = experiment(False, "train FTCL-Net (second stage) instead of ACM-Net")
    device: str = experiment("auto", "device of the computation; auto is CUDA if available", free_on_resume=True, choices=("auto", "cpu", "cuda"))
    gpu: str = experiment("0", "index of the CUDA device among those that CUDA_VISIBLE_DEVICES leaves; unused without CUDA and under torchrun, where each process has its own", free_on_resume=True, metavar="N")
    precision: str = experiment("auto", "arithmetic of the matrix products; bf16 also keeps features and embeddings in bfloat16; auto is tf32 on CUDA, fp32 on the CPU", choices=("auto", "fp32", "tf32", "bf16"))
    temporal_conv: str = experiment("auto", "form of the convolution over time on the CPU: winograd (fewer products, other last digits), direct, or auto: winograd where it is faster; bf16 and CUDA are always direct", choices=("auto", "winograd", "direct"))
    deterministic: bool = experiment(False, "identical bits in every run on CUDA too (slower); the CPU always gives them")
    resume: bool = experiment(False, "resume the run in the directory from its latest checkpoint", free_on_resume=True)
    force: bool = experiment(False, "with --resume: continue although settings or data differ from those of the run", free_on_resume=True)
    checkpoint_seconds: float = experiment(30.0, "write the latest checkpoint at most this often, in seconds; 0 writes it after every epoch", free_on_resume=True, at_least=0)
    without_wandb: bool = experiment(False, "do not log to wandb (metrics.jsonl is always written)", free_on_resume=True)
    wandb_project: str = experiment("FTCL-Net", "project in wandb", free_on_resume=True, plain=True)
    wandb_tags: tuple[str, ...] = experiment((), "tags in wandb", free_on_resume=True, metavar="TAG")
    wandb_timelines: int = experiment(50, "draw timelines of some test videos in wandb every N epochs and after the last; 0 draws none", free_on_resume=True, at_least=0)
    wandb_videos: tuple[str, ...] = experiment((), "test videos of these timelines (default: the shortest, the median and the longest one with instances)", free_on_resume=True, metavar="VIDEO")
    wandb_artifacts: bool = experiment(False, "store the best checkpoint in wandb at the end of the run; with --test: log the test to wandb and store predictions and report there", free_on_resume=True)
    wandb_test: bool = experiment(False, "with --test: log the test to wandb, as a run of its own", free_on_resume=True)

    data_dir: str = data(BY_DATASET, "directory with train/ test/ gt.json split_train.txt split_test.txt", free_on_resume=True, metavar="DIR")
    save_dir: str = data("", "directory for checkpoints and logs (default: <data_dir>/save/<group>/<model_name>); with --test for predictions and report (default: beside the checkpoint)", free_on_resume=True, metavar="DIR")
    layout: str = data("auto", "where features and annotations are (docs/FORMATS.md); auto recognizes it by what is in the directory", choices=("auto", "plain", "two_streams", "joint"))
    channel_order: str = data("rgb_flow", "order of the channels in the feature files; they are used with RGB first", in_checkpoint=True, choices=("rgb_flow", "flow_rgb"))
    feature_axes: str = data("TD", "axes of the feature files: T snippets, D channels, C crops (which are averaged), 1 an axis of length 1", in_checkpoint=True, choices=("TD", "DT", "1TD", "TCD", "CTD"))
    blocked_videos: str = data("", "file with the names of videos to leave out, one per line or as a JSON list", metavar="FILE")
    num_workers: int = data(4, "threads that read feature files; does not affect results", free_on_resume=True, at_least=1, at_most=256)
    feature_memory: float = data(-1.0, "GiB of features to keep in memory (on CUDA: GPU memory); beyond that, snippets are read from the files during the computation, 0 always does so; -1 is half of the free memory; does not affect results", free_on_resume=True, at_least=-1)
    label_aliases: tuple[str, ...] = data((), "other spellings of labels in gt.json: pairs OTHER=CLASS, a .json file {other: class}, or the word similar (labels that differ only in case, spaces, underscores or hyphens are the same)", in_checkpoint=True, metavar="OTHER=CLASS")
    class_names: str = data("", "file with the names of labels that are numbers in gt.json: one per line in index order from 0, or lines of number and name; with --dataset custom the list of classes (default: the labels of the training videos)", metavar="FILE")
    ignore_labels: tuple[str, ...] = data((), "labels in gt.json whose annotations are left out, besides those of the data set (THUMOS14: Ambiguous)", in_checkpoint=True, metavar="LABEL")
    strict: bool = data(False, "stop at invalid times and durations in gt.json instead of a warning", free_on_resume=True)

    num_snippets: int = snippets(BY_DATASET, "snippets sampled from a video (T)", at_least=1, at_most=1_000_000)

    dropout: float = network(0.7, "probability of dropping a snippet, and a channel, before the classifier", at_least=0, below=1)
    input_dropout: float = network(BY_DATASET, "probability of dropping a channel before the embedding and before the attention; 0 leaves these dropouts out", at_least=0, below=1)
    ins_topk_seg: int = network(BY_DATASET, "instance branch: a video score is the mean of the T // N highest-scoring snippets", at_least=1)
    con_topk_seg: int = network(BY_DATASET, "same for the context branch", at_least=1)
    bak_topk_seg: int = network(BY_DATASET, "same for the background branch", at_least=1)

    batch_size: int = training(BY_DATASET, "videos (with --ftcl: pairs) per step, over all processes", at_least=1)
    epochs: int = training(BY_STAGE, "last epoch", free_on_resume=True, at_least=1)
    start_epoch: int = training(0, "number of epochs counted as done before the first", at_least=0)
    start_test_epoch: int = training(0, "evaluate after each epoch from this one on (the last epoch always)", at_least=0)
    lr: float = training(1e-4, "learning rate of Adam", above=0)
    weight_decay: float = training(BY_DATASET, "L2 penalty of Adam", at_least=0)
    adam_beta1: float = training(0.9, "decay of Adam's running mean of the gradients", at_least=0, below=1)
    adam_beta2: float = training(0.999, "decay of Adam's running mean of the squared gradients", at_least=0, below=1)

    loss_lamb_instance: float = loss(BY_DATASET, "classification loss of the instance branch", at_least=0)
    loss_lamb_guide: float = loss(BY_DATASET, "guide loss: the attention follows the class activation sequence", at_least=0)
    loss_lamb_feat: float = loss(BY_DATASET, "feature loss: feature norms of the branches apart by --feat_margin", at_least=0)
    loss_lamb_sparse: float = loss(BY_DATASET, "sparsity loss: little instance and context attention", at_least=0)
    feat_margin: float = loss(50.0, "margin between the feature norms of two branches", at_least=0)

    loss_lamb_fsd: float = contrastive(0.8, "weight of the FSD loss", at_least=0)
    loss_lamb_lcs: float = contrastive(0.1, "weight of the LCS loss", at_least=0)
    without_fsd: bool = contrastive(False, "leave out the FSD loss")
    without_lcs: bool = contrastive(False, "leave out the LCS loss")
    fsd_len: int = contrastive(BY_DATASET, "candidate snippets of an FSD sequence", at_least=1)
    lcs_len: int = contrastive(BY_DATASET, "candidate snippets of an LCS sequence", at_least=1)
    fc_dim: int = contrastive(1024, "channels of the FSD projection, half for matches, half for gaps", at_least=2)
    gamma: float = contrastive(0.1, "temperature of the smooth maximum of FSD; 0 is the plain maximum", at_least=0)
    lcs_threshold: float = contrastive(0.92, "two snippets match in LCS if their cosine similarity exceeds this", flag="thres", at_least=-1, at_most=1)
    objective: str = contrastive("release", "form of the contrastive losses: that of the official implementation (release) or of the paper", choices=("release", "paper"))
    background_candidates: str = contrastive("auto", "FSD background: release (the ranks that follow the action candidates), attention (highest background attention), low (lowest instance attention); auto is release, with --objective paper low", choices=("auto", "release", "attention", "low"))
    distinct_candidates: bool = contrastive(False, "a snippet is a candidate only once, however often it was sampled")
    ranking_eta: float = contrastive(0.2, "temperature of the ranking loss of --objective paper", above=0)
    pairs_per_epoch: int = contrastive(BY_DATASET, "number of pairs sampled per epoch (half positive); 0 uses all positive pairs and as many negative ones", at_least=0)
    resample_pairs: bool = contrastive(False, "draw negative pairs and snippets anew in every epoch instead of once")

    tiou: tuple[float, ...] = evaluation(BY_DATASET, "tIoU thresholds of the mAP", above=0, at_most=1)
    # fmt: on

    def __post_init__(self) -> None:
        check_settings(self, fields(self))
        self._check_combinations()

    def _check_combinations(self) -> None:
        """Raises a `UserError` for settings that exclude each other."""
        if self.test and self.resume:
            raise UserError("--resume continues a training; it cannot be combined with --test")
        if self.seeds and self.test:
            raise UserError("--seeds trains; test one --checkpoint at a time, without --seeds")
        if len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"--seeds {' '.join(map(str, self.seeds))}: wanted different seeds")
        if self.report and not self.test:
            raise UserError("--report needs --test --checkpoint FILE: it shows an evaluation")
        if self.wandb_test and not self.test:
            raise UserError(
                "--wandb_test needs --test --checkpoint FILE: training is logged without it"
            )
        for tag in self.wandb_tags:
            if not 1 <= len(tag) <= 64:
                raise UserError(f"--wandb_tags {tag!r}: wandb allows tags of 1 to 64 characters")
        if self.without_wandb and (self.wandb_artifacts or self.wandb_test):
            flag = "--wandb_artifacts" if self.wandb_artifacts else "--wandb_test"
            raise UserError(f"{flag} needs wandb; it cannot be combined with --without_wandb")
        if self.test and not self.checkpoint:
            raise UserError("--test needs --checkpoint FILE: the weights to evaluate")
        if self.checkpoint and not self.test and not self.resume:
            own = [self.latest_checkpoint.resolve(), self.best_checkpoint.resolve()]
            if Path(self.checkpoint).resolve() in own:
                raise UserError(
                    f"--checkpoint {self.checkpoint} is where this run writes its own checkpoints, "
                    "and would be moved away; give the run another --group, --model_name or "
                    "--save_dir"
                )
        if self.fc_dim % 2:
            raise UserError(
                f"--fc_dim {self.fc_dim}: must be even, half for matches, half for gaps"
            )
        if self.start_epoch >= self.epochs:
            raise UserError(
                f"--start_epoch ({self.start_epoch}) must be less than --epochs ({self.epochs})"
            )

    @property
    def spec(self) -> DatasetSpec:
        """The data set."""
        return DATASETS[self.dataset]

    @property
    def localization(self) -> LocalizationSettings:
        """The settings that turn scores into segments, without the others."""
        return localization_settings(vars(self))

    @property
    def background(self) -> str:
        """Which snippets stand for background in FSD, with `auto` resolved."""
        if self.background_candidates != "auto":
            return self.background_candidates
        return "low" if self.objective == "paper" else "release"

    @property
    def run_dir(self) -> Path:
        """Run directory: checkpoints and logs."""
        return Path(self.save_dir or Path(self.data_dir, "save", self.group, self.model_name))

    @property
    def latest_checkpoint(self) -> Path:
        """Checkpoint of the last epoch, from which a run is resumed."""
        return self.run_dir / f"{self.dataset}_latest.pth"

    @property
    def best_checkpoint(self) -> Path:
        """Checkpoint of the best epoch on the test videos."""
        return self.run_dir / f"{self.dataset}_best.pth"

    def per_seed(self) -> list["Config"]:
        """One config per seed of `--seeds`, each with its own run directory; else this one."""
        return [
            replace(
                self,
                seeds=(),
                seed=seed,
                save_dir=str(self.run_dir / f"seed-{seed}") if self.seeds else self.save_dir,
                model_name=f"{self.model_name}-seed-{seed}" if self.seeds else self.model_name,
                checkpoint=self.checkpoint.replace("{seed}", str(seed)),
            )
            for seed in self.seeds or (self.seed,)
        ]

    def as_dict(self) -> dict[str, Any]:
        """The settings by flag as plain values, for JSON and checkpoints."""
        values = {flag_of(setting): getattr(self, setting.name) for setting in fields(self)}
        return {flag: list(v) if isinstance(v, tuple) else v for flag, v in values.items()}


def make_config(**changes: Any) -> Config:
    """A checked `Config`: the defaults of data set and stage, overridden by `changes`.

    Args:
        changes: Values by flag (or field).

    Raises:
        UserError: For a value out of range, naming flag, value and range.
    """
    by_flag = {flag_of(setting): setting.name for setting in fields(Config)}
    given = {by_flag.get(name, name): value for name, value in changes.items()}
    spec = find_dataset(str(given.get("dataset", "THUMOS")))  # in a checkpoint it may be anything
    stage = STAGES[bool(given.get("ftcl", False))]
    return Config(**{**spec.defaults, **stage, **given, "dataset": spec.name})


def settings_of(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a checkpoint brings along, to evaluate it as it was trained.

    Args:
        checkpoint: Its content; an official checkpoint holds no settings and gives an empty result.

    Returns:
        Values by flag.
    """
    stored = checkpoint.get("config", {})
    wanted = {flag_of(s) for s in fields(Config) if s.metadata["in_checkpoint"]}
    return {
        flag: tuple(value) if isinstance(value, list) else value
        for flag, value in (stored.items() if isinstance(stored, dict) else ())
        if flag in wanted
    }


def names_of(checkpoint: Mapping[str, Any]) -> dict[str, str]:
    """Group and name of the run that wrote a checkpoint, by flag; none if it holds no settings."""
    stored = checkpoint.get("config", {})
    stored = stored if isinstance(stored, dict) else {}
    return {n: stored[n] for n in ("group", "model_name") if isinstance(stored.get(n), str)}


def resume_free_flags() -> frozenset[str]:
    """The flags that may differ between a run and its continuation."""
    return frozenset(flag_of(s) for s in fields(Config) if s.metadata["free_on_resume"])
