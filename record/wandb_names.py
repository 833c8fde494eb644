"""Names of metrics in wandb, which shows one section of charts per prefix.

wandb sorts and filters only names of letters, digits and underscores, and reads a point as nesting,
so the names differ from those in metrics.jsonl: `mAP@0.5` is `mAP/tIoU_50`.
"""

import re

SECTIONS = {
    "loss/": "loss/",
    "weighted/": "loss_weighted/",
    "mAP@": "mAP/tIoU_",
    "average ": "mAP/average_",
    "classification mAP": "mAP/video_classification",
}
MAIN_AVERAGE = "mAP/average"  # one name for the main metric of every data set, for sweeps
_FRACTION = re.compile(r"(?<![\w.])(?:\d*\.\d+|1)(?![\w.])")  # 0.5, .5 or 1


def wandb_name(metric: str) -> str:
    """The name in wandb of a metric of metrics.jsonl.

    Thresholds are in percent, so that `average .1-.7` becomes `mAP/average_10_to_70`. Metrics of no
    section of their own are in `train/`.
    """
    if metric.startswith("seconds/"):
        return f"time/{_plain(metric.removeprefix('seconds/'))}_seconds"
    for prefix, section in SECTIONS.items():
        if metric.startswith(prefix):
            rest = metric.removeprefix(prefix).removeprefix("mean of ")
            in_percent = section.startswith("mAP/")
            return section + _plain(_FRACTION.sub(_percent, rest) if in_percent else rest)
    return f"train/{_plain(metric)}"


def image_name(number: int, video: str) -> str:
    """The name in wandb of the timeline of a video; the number keeps equal names apart."""
    return f"timelines/{number}_{_plain(video)}"


def _percent(fraction: "re.Match[str]") -> str:
    return f"{float(fraction[0]) * 100:.6g}"


def _plain(text: str) -> str:
    """The text with underscores for all but Latin letters and digits; a range has "to"."""
    ranges = re.sub(r"(?<=\d)-(?=\d)", " to ", text)
    return re.sub(r"[^A-Za-z0-9]+", "_", ranges).strip("_")
