"""Every hyper-parameter, one field a line; the command line is made from these lines.

A value that depends on the data set or on the stage has no default in its line but one in
`DATASETS` or `STAGES` below.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args, get_origin

from utils.errors import UserError, shown

Setting = Callable[..., Any]


def _group(group: str) -> Setting:
    """Makes the function that declares the settings of one group of the command line."""

    def setting(default: Any, comment: str, **limits: Any) -> Any:
        """`limits`: at_least, above, at_most, below, choices, plain (a name), metavar."""
        metadata = {"group": group, "comment": comment, **limits}
        return field(default=default, metadata=metadata)

    return setting


run = _group("run")
data = _group("data")
snippets = _group("snippets")
network = _group("network")
training = _group("training")
loss = _group("loss weights (unitless)")
contrast = _group("contrasts of FTCL-Net (with --ftcl)")
localization = _group("localization: from scores to segments")
evaluation = _group("evaluation")

BY_DATASET = MISSING  # default in DATASETS
BY_STAGE = MISSING  # default in STAGES


@dataclass(frozen=True, kw_only=True)
class Config:
    """One run. Checked when made: a wrong value raises a `UserError` that names the flag."""

    # fmt: off
    dataset: str = run("THUMOS", "data set, sets the defaults below", choices=("THUMOS",))
    group: str = run("baseline", "group of runs: folder below <data_dir>/save and group in wandb", plain=True)
    model_name: str = run("acmnet", "name of the run: folder below the group and name in wandb", plain=True)
    seed: int = run(0, "seed of every random generator", at_least=0, below=2**63)
    seeds: tuple[int, ...] = run((), "train once for each of these seeds, in folders seed-N of the run's, and compare", at_least=0, below=2**63)
    checkpoint: str = run("", "file with weights to start from or, with --test, to evaluate: ours or the release's; {seed} in it stands for the seed", metavar="FILE")
    test: bool = run(False, "evaluate --checkpoint and write its predictions, do not train")
    report: bool = run(False, "with --test: also write a page with tables and timelines of videos")
    ftcl: bool = run(False, "train FTCL-Net (second stage) instead of ACM-Net")
    device: str = run("auto", "where to compute; auto is CUDA when there is one", choices=("auto", "cpu", "cuda"))
    gpu: str = run("0", "number of the CUDA device among those that CUDA_VISIBLE_DEVICES leaves, as CUDA counts them; unused without CUDA and under torchrun, where each process has its own", metavar="N")
    precision: str = run("auto", "arithmetic of the matrix products; bf16 also keeps features and embeddings in bfloat16; auto is tf32 on CUDA, fp32 on the CPU", choices=("auto", "fp32", "tf32", "bf16"))
    deterministic: bool = run(False, "same bits in every run on CUDA too (slower); the CPU always gives them")
    resume: bool = run(False, "go on with the run in the folder from its latest checkpoint")
    force: bool = run(False, "with --resume: go on although settings or data differ from the run's")
    checkpoint_seconds: float = run(30.0, "write the latest checkpoint at most this often, in seconds; 0 every epoch", at_least=0)
    without_wandb: bool = run(False, "do not log to wandb (metrics.jsonl is always written)")
    wandb_project: str = run("FTCL-Net", "project in wandb", plain=True)

    data_dir: str = data(BY_DATASET, "folder with train/ test/ gt.json split_train.txt split_test.txt", metavar="DIR")
    save_dir: str = data("", "folder for checkpoints and logs (empty: <data_dir>/save/<group>/<model_name>); with --test for predictions and report (empty: beside the checkpoint)", metavar="DIR")
    num_workers: int = data(4, "threads that read feature files; changes no result", at_least=1, at_most=256)
    feature_memory: float = data(-1.0, "GiB of features to keep in memory (on CUDA: the GPU's); if there are more, rows are read from the files while computing, 0 always does; -1 is half of the memory that is free; changes no result", at_least=-1)

    frames_per_second: float = snippets(BY_DATASET, "frame rate at which the features were extracted, frames a second", above=0)
    snippet_frames: int = snippets(BY_DATASET, "stride of the snippets, frames a snippet", at_least=1)
    num_snippets: int = snippets(BY_DATASET, "snippets sampled from a video (T)", at_least=1, at_most=1_000_000)

    dropout: float = network(0.7, "probability of dropping a snippet, and a channel, before the classifier", at_least=0, below=1)
    ins_topk_seg: int = network(BY_DATASET, "instance branch: T // this many snippets are averaged for a video score", at_least=1)
    con_topk_seg: int = network(BY_DATASET, "context branch: likewise", at_least=1)
    bak_topk_seg: int = network(BY_DATASET, "background branch: likewise", at_least=1)

    batch_size: int = training(BY_DATASET, "videos (with --ftcl: pairs) a step, of all processes together", at_least=1)
    epochs: int = training(BY_STAGE, "last epoch", at_least=1)
    start_epoch: int = training(0, "number of epochs counted as done before the first", at_least=0)
    start_test_epoch: int = training(0, "evaluate after each epoch from this one on (the last epoch always)", at_least=0)
    lr: float = training(1e-4, "learning rate of Adam", above=0)
    weight_decay: float = training(BY_DATASET, "L2 penalty of Adam", at_least=0)
    adam_beta1: float = training(0.9, "decay of Adam's mean of gradients", at_least=0, below=1)
    adam_beta2: float = training(0.999, "decay of Adam's mean of squared gradients", at_least=0, below=1)

    loss_lamb_guide: float = loss(BY_DATASET, "guide loss: attention follows the class activation sequence", at_least=0)
    loss_lamb_feat: float = loss(BY_DATASET, "feature loss: norms of the branches apart by --feat_margin", at_least=0)
    loss_lamb_sparse: float = loss(BY_DATASET, "sparse loss: little instance and context attention", at_least=0)
    feat_margin: float = loss(50.0, "margin between the feature norms of two branches", at_least=0)

    loss_lamb_fsd: float = contrast(0.8, "weight of the FSD contrast", at_least=0)
    loss_lamb_lcs: float = contrast(0.1, "weight of the LCS contrast", at_least=0)
    without_fsd: bool = contrast(False, "leave out the FSD contrast")
    without_lcs: bool = contrast(False, "leave out the LCS contrast")
    fsd_len: int = contrast(5, "candidate snippets of an FSD sequence", at_least=1)
    lcs_len: int = contrast(30, "candidate snippets of an LCS sequence", at_least=1)
    fc_dim: int = contrast(1024, "channels of the FSD projection, half for matches, half for gaps", at_least=2)
    gamma: float = contrast(0.1, "temperature of the smooth maximum of FSD; 0 is the plain maximum", at_least=0)
    thres: float = contrast(0.92, "two snippets match in LCS if their cosine exceeds this", at_least=-1, at_most=1)
    objective: str = contrast("release", "form of the contrasts: that of the released code or of the paper", choices=("release", "paper"))
    background_candidates: str = contrast("auto", "FSD background: release (ranks that follow the action candidates), attention (highest background attention), low (lowest instance attention); auto is release, with --objective paper low", choices=("auto", "release", "attention", "low"))
    distinct_candidates: bool = contrast(False, "a snippet is a candidate once however often it was sampled")
    ranking_eta: float = contrast(0.2, "temperature of the ranking loss of --objective paper", above=0)
    resample_pairs: bool = contrast(False, "draw negative pairs and snippets anew every epoch, not once")

    class_threshold: float = localization(BY_DATASET, "a class is localized if its video score exceeds this, else the best one is", at_least=0, at_most=1)
    cas_thresholds: tuple[float, ...] = localization(BY_DATASET, "thresholds on the class activation sequence", at_least=0, at_most=1)
    attention_thresholds: tuple[float, ...] = localization(BY_DATASET, "thresholds on the instance attention", at_least=0, at_most=1)
    upsampling: int = localization(20, "steps a snippet is interpolated to", at_least=1, at_most=1000)
    outer: float = localization(BY_DATASET, "width of the outer windows of a score, in lengths of the segment", at_least=0)
    nms_tiou: float = localization(BY_DATASET, "a detection suppresses others of higher tIoU than this", at_least=0, at_most=1)
    nms_offset: float = localization(1.0, "seconds added to lengths in the NMS: 1 as the release, 0 the clean form", choices=(0.0, 1.0))

    tiou: tuple[float, ...] = evaluation(BY_DATASET, "tIoU thresholds of the mAP", above=0, at_most=1)
    # fmt: on

    def __post_init__(self) -> None:
        for setting in fields(self):
            _check(f"--{setting.name}", getattr(self, setting.name), setting)
        if self.test and self.resume:
            raise UserError("--resume goes on training; it cannot be combined with --test")
        if self.seeds and self.test:
            raise UserError("--seeds trains; test one --checkpoint at a time, without --seeds")
        if len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"--seeds {' '.join(map(str, self.seeds))}: wanted different seeds")
        if self.report and not self.test:
            raise UserError("--report needs --test --checkpoint FILE: it shows an evaluation")
        if self.test and not self.checkpoint:
            raise UserError("--test needs --checkpoint FILE: the weights to evaluate")
        if self.checkpoint and not self.test and not self.resume:
            own = [self.run_folder / f"{self.dataset}_{kind}.pth" for kind in ("latest", "best")]
            if Path(self.checkpoint).resolve() in [path.resolve() for path in own]:
                raise UserError(
                    f"--checkpoint {self.checkpoint} is where this run writes its own, and would "
                    "be moved away; give the run another --group, --model_name or --save_dir"
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
    def background(self) -> str:
        """Which snippets stand for background in FSD, `auto` resolved."""
        if self.background_candidates != "auto":
            return self.background_candidates
        return "low" if self.objective == "paper" else "release"

    @property
    def snippet_seconds(self) -> float:
        """Seconds between the starts of neighbouring snippets."""
        return self.snippet_frames / self.frames_per_second

    @property
    def run_folder(self) -> Path:
        """Where the run leaves its checkpoints and logs."""
        return Path(self.save_dir or Path(self.data_dir, "save", self.group, self.model_name))

    def per_seed(self) -> list["Config"]:
        """This run, or with `--seeds` one for each seed, each with a folder of its own."""
        return [
            replace(
                self,
                seeds=(),
                seed=seed,
                save_dir=str(self.run_folder / f"seed-{seed}") if self.seeds else self.save_dir,
                model_name=f"{self.model_name}-seed-{seed}" if self.seeds else self.model_name,
                checkpoint=self.checkpoint.replace("{seed}", str(seed)),
            )
            for seed in self.seeds or (self.seed,)
        ]

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, for JSON and checkpoints."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


DATASETS: dict[str, dict[str, Any]] = {
    "THUMOS": {  # THUMOS14
        "data_dir": "data/THUMOS14",
        "frames_per_second": 25.0,
        "snippet_frames": 16,
        "num_snippets": 750,
        "ins_topk_seg": 8,
        "con_topk_seg": 3,
        "bak_topk_seg": 3,
        "batch_size": 16,
        "weight_decay": 5e-5,
        "loss_lamb_guide": 2e-3,
        "loss_lamb_feat": 5e-5,
        "loss_lamb_sparse": 2e-4,
        "class_threshold": 0.25,
        "cas_thresholds": (0.15, 0.2),
        "attention_thresholds": tuple(round(0.05 * i, 2) for i in range(3, 20)),
        "outer": 0.2,
        "nms_tiou": 0.55,
        "tiou": tuple(round(0.1 * i, 1) for i in range(1, 10)),
    },
}
ALIASES = {"THUMOS14": "THUMOS"}
STAGES: dict[bool, dict[str, Any]] = {
    False: {"epochs": 500},  # ACM-Net
    True: {"epochs": 25},  # --ftcl
}


def settings_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The settings that a checkpoint's scores depend on, to evaluate it as it was trained.

    Args:
        checkpoint: as read; the released ones hold no settings and give an empty result.
    """
    stored = checkpoint.get("config", {})
    groups = ("snippets", "network", "localization: from scores to segments", "evaluation")
    wanted = {s.name for s in fields(Config) if s.metadata["group"] in groups} | {"dataset"}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in (stored.items() if isinstance(stored, dict) else ())
        if name in wanted
    }


def make_config(**changes: Any) -> Config:
    """A checked `Config`: defaults of the data set and the stage, overridden by `changes`.

    Raises:
        UserError: for a value out of range, naming flag, value and range.
    """
    name = str(changes.get("dataset", "THUMOS"))  # out of a checkpoint it may be anything
    dataset = ALIASES.get(name, name)
    if dataset not in DATASETS:
        known = ", ".join([*DATASETS, *ALIASES])
        raise UserError(f"--dataset: unknown data set {dataset!r}; known are {known}")
    stage = STAGES[bool(changes.get("ftcl", False))]
    return Config(**{**DATASETS[dataset], **stage, **changes, "dataset": dataset})


LARGEST = 10**9  # of whole numbers without a limit of their own: no tensor can be larger
_RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "at_least": (">=", operator.ge),
    "above": (">", operator.gt),
    "at_most": ("<=", operator.le),
    "below": ("<", operator.lt),
}


def range_text(limits: Any) -> str:
    """The range of a field in words of the command line, such as ">= 0, < 1"; "" for any value."""
    return ", ".join(
        f"{sign} {limits[name]:g}" for name, (sign, _) in _RANGES.items() if name in limits
    )


def _check(flag: str, values: Any, setting: "Field[Any]") -> None:
    """Raises a `UserError` if a value, or one of a tuple, is of another kind or out of range."""
    limits = setting.metadata
    several = get_origin(setting.type) is tuple
    kind: Any = get_args(setting.type)[0] if several else setting.type
    if several and not (isinstance(values, tuple) and (values or setting.default == ())):
        raise UserError(f"{flag} {values!r}: wanted at least one value")
    for value in values if several else (values,):
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise UserError(f"{flag} {value!r}: wanted a value of type {kind.__name__}")
        if "choices" in limits and value not in limits["choices"]:
            known = ", ".join(str(choice) for choice in limits["choices"])
            raise UserError(f"{flag} {value}: unknown; known are {known}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{flag} {value}: wanted a finite number")
        if isinstance(value, int) and "below" not in limits and value > LARGEST:
            raise UserError(f"{flag} {shown(value)}: must be <= {LARGEST:g}")
        if not all(inside(value, limits[r]) for r, (_, inside) in _RANGES.items() if r in limits):
            raise UserError(f"{flag} {value}: must be {range_text(limits)}")
        if limits.get("plain") and (not value or set(value) & set("/\\\0") or value in {".", ".."}):
            raise UserError(f"{flag} {value!r}: wanted a plain name without / or \\")
