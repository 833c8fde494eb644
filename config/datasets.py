"""All facts specific to one data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.localization import LocalizationSettings, localization_settings
from utils.errors import UserError


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """One data set; the only place to edit to add another one (docs/EXTENDING.md).

    Attributes:
        name: Value of `--dataset` and prefix of the checkpoint files.
        title: Name in texts and figures.
        aliases: Other accepted values of `--dataset`.
        classes: Names of the action classes, in index order; none if the data or a file name them.
        ignored_labels: Labels in its annotation files that are no class, and are left out.
        train_subset, test_subset: Subsets of the annotation file, as the data set calls them.
        defaults: Values of the settings that depend on the data set (`BY_DATASET`), by field.
        main_average: Lowest and highest tIoU of the average by which checkpoints are compared.
        length_edges: Limits of the instance lengths in the error analysis, in seconds.
        number_edges: Limits of the number of instances per video in the error analysis.
    """

    name: str
    title: str
    aliases: tuple[str, ...] = ()
    classes: tuple[str, ...]
    ignored_labels: tuple[str, ...] = ()
    train_subset: str
    test_subset: str
    defaults: Mapping[str, Any]
    main_average: tuple[float, float]
    length_edges: tuple[float, ...]
    number_edges: tuple[int, ...]

    @property
    def tiou(self) -> tuple[float, ...]:
        """The tIoU thresholds of the mAP."""
        thresholds: tuple[float, ...] = self.defaults["tiou"]
        return thresholds

    @property
    def localization(self) -> LocalizationSettings:
        """The default localization settings."""
        return localization_settings(self.defaults)


THUMOS14 = DatasetSpec(
    name="THUMOS",
    title="THUMOS14",
    aliases=("THUMOS14",),
    classes=(
        "BaseballPitch",
        "BasketballDunk",
        "Billiards",
        "CleanAndJerk",
        "CliffDiving",
        "CricketBowling",
        "CricketShot",
        "Diving",
        "FrisbeeCatch",
        "GolfSwing",
        "HammerThrow",
        "HighJump",
        "JavelinThrow",
        "LongJump",
        "PoleVault",
        "Shotput",
        "SoccerPenalty",
        "TennisSwing",
        "ThrowDiscus",
        "VolleyballSpiking",
    ),
    ignored_labels=("Ambiguous",),
    train_subset="train",
    test_subset="test",
    defaults={
        "data_dir": "data/THUMOS14",
        "frames_per_second": 25.0,
        "snippet_frames": 16,
        "num_snippets": 750,
        "ins_topk_seg": 8,
        "con_topk_seg": 3,
        "bak_topk_seg": 3,
        "input_dropout": 0.0,
        "batch_size": 16,
        "pairs_per_epoch": 0,
        "weight_decay": 5e-5,
        "loss_lamb_instance": 1.0,
        "loss_lamb_guide": 2e-3,
        "loss_lamb_feat": 5e-5,
        "loss_lamb_sparse": 2e-4,
        "fsd_len": 5,
        "lcs_len": 30,
        "class_threshold": 0.25,
        "cas_thresholds": (0.15, 0.2),
        "attention_thresholds": tuple(round(0.05 * i, 2) for i in range(3, 20)),
        "outer_ratio": 0.2,
        "score_cas_weight": 1.0,
        "score_attention_weight": 0.0,
        "score_class_weight": 0.0,
        "nms_tiou": 0.55,
        "tiou": tuple(round(0.1 * i, 1) for i in range(1, 10)),
    },
    main_average=(0.1, 0.7),
    length_edges=(3.0, 6.0, 12.0, 18.0),  # of DETAD for THUMOS14
    number_edges=(1, 40, 80),  # of DETAD for THUMOS14
)


def _activitynet(version: str, data_dir: str) -> DatasetSpec:
    """ActivityNet-1.2 or 1.3, with the settings of ACM-Net; those of FTCL were never published.

    Our choice for the contrastive losses (docs/ACTIVITYNET.md has the reasoning): a snippet of the
    75 stands for 1.6 s of a video of average length, and an instance covers about 30 of them.
    """
    names = Path(__file__).with_name(f"activitynet{version}_classes.txt")
    return DatasetSpec(
        name=f"ActivityNet{version}",
        title=f"ActivityNet-{version[0]}.{version[1]}",
        aliases=(f"ActivityNet{version[0]}.{version[1]}",),
        classes=tuple(names.read_text(encoding="utf-8").splitlines()),
        train_subset="training",
        test_subset="validation",
        defaults={
            "data_dir": data_dir,
            "frames_per_second": 25.0,
            "snippet_frames": 16,
            "num_snippets": 75,
            "ins_topk_seg": 2,
            "con_topk_seg": 10,
            "bak_topk_seg": 10,
            "input_dropout": 0.7,
            "batch_size": 64,
            "pairs_per_epoch": 9600,
            "weight_decay": 1e-3,
            "loss_lamb_instance": 5.0,
            "loss_lamb_guide": 5e-3,
            "loss_lamb_feat": 5e-5,
            "loss_lamb_sparse": 0.0,
            "fsd_len": 5,
            "lcs_len": 15,
            "class_threshold": 0.1,
            "cas_thresholds": (0.005, 0.01, 0.015, 0.02),
            "attention_thresholds": (0.005, 0.01, 0.015, 0.02),
            "outer_ratio": 0.15,
            "score_cas_weight": 0.7,
            "score_attention_weight": 0.3,
            "score_class_weight": 0.25,
            "nms_tiou": 0.9,
            "tiou": tuple(round(0.5 + 0.05 * i, 2) for i in range(10)),
        },
        main_average=(0.5, 0.95),
        length_edges=(30.0, 60.0, 120.0, 180.0),  # of DETAD for ActivityNet
        number_edges=(1, 4, 8),  # of DETAD for ActivityNet
    )


ACTIVITYNET12 = _activitynet("12", "data/ActivityNet12")
ACTIVITYNET13 = _activitynet("13", "data/ActivityNet13")

# Videos of the user (docs/YOUR_DATA.md), with the settings of THUMOS14. The classes are those of
# --class_names, or else the labels of the training videos (dataset/classes.py).
CUSTOM = DatasetSpec(
    name="custom",
    title="custom data",
    classes=(),
    train_subset="train",
    test_subset="test",
    defaults={**THUMOS14.defaults, "data_dir": "data/custom"},
    main_average=THUMOS14.main_average,
    length_edges=THUMOS14.length_edges,
    number_edges=THUMOS14.number_edges,
)

DATASETS: dict[str, DatasetSpec] = {
    spec.name: spec for spec in (THUMOS14, ACTIVITYNET12, ACTIVITYNET13, CUSTOM)
}


def find_dataset(name: str) -> DatasetSpec:
    """The data set of this name or alias.

    Raises:
        UserError: If there is none, naming those that there are.
    """
    for spec in DATASETS.values():
        if name in (spec.name, *spec.aliases):
            return spec
    known = ", ".join(name for spec in DATASETS.values() for name in (spec.name, *spec.aliases))
    raise UserError(f"--dataset: unknown data set {name!r}; known are {known}")
