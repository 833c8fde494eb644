"""Mistakes in checkpoints and prediction files."""

import math
import os
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from eval.detection.table_file import HEADER as HEAD
from tests.bad_inputs.case import DETECTION, RESUME, TEST, BadInput, cut, edit, put
from tests.data_folder import LABELS

GOOD, LATEST, PREDICTIONS = "good.pth", "done/THUMOS_latest.pth", "pred.json"
NAME = "video_test_0000000"


Tested = partial(BadInput, flags=TEST)
Resumed = partial(BadInput, flags=RESUME)
Evaluated = partial(BadInput, program=DETECTION)
Warned = partial(BadInput, program=DETECTION, warning=True)


class Payload:
    """Unpickling an object of this class creates a folder, as a harmless example of code."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


def checkpoint(path: str, change: Callable[[dict[str, Any]], object]) -> Callable[[], object]:
    """Changes the content of a checkpoint."""

    def apply() -> None:
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)

    return apply


def weight(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], object]:
    """Changes one weight of the tested checkpoint."""

    def apply(content: dict[str, Any]) -> None:
        weights = content["model_state_dict"]
        weights["att_branch.bias"] = change(weights["att_branch.bias"])

    return checkpoint(GOOD, apply)


def settings(**values: Any) -> Callable[[], object]:
    """Changes settings in the tested checkpoint."""
    return checkpoint(GOOD, lambda content: content["config"].update(values))


def payload() -> None:
    torch.save({"model_state_dict": {"w": Payload()}}, GOOD)


def rename(content: dict[str, Any]) -> None:
    weights = content["model_state_dict"]
    weights["other.bias"] = weights.pop("att_branch.bias")


def without_optimizer() -> None:
    os.replace("done/THUMOS_best.pth", LATEST)


def other_optimizer() -> None:
    """Changes the shape of the optimizer's gradient averages."""

    def change(content: dict[str, Any]) -> None:
        for values in content["optimizer"]["state"].values():
            values["exp_avg"] = torch.zeros(7)

    checkpoint(LATEST, change)()


def other_features() -> None:
    path = f"data/test/{NAME}.npy"
    np.save(path, np.load(path) + 1)


def detection(**values: Any) -> Callable[[], object]:
    """Changes the first detection of a prediction file; `...` deletes a key."""

    def apply(content: dict[str, Any]) -> None:
        first = content["results"][NAME][0] | values
        content["results"][NAME][0] = {k: v for k, v in first.items() if v is not ...}

    return edit(PREDICTIONS, apply)


def results(value: Any) -> Callable[[], object]:
    """Replaces the results of a prediction file."""
    return edit(PREDICTIONS, lambda content: content.update(results=value))


def mostly_unknown(content: dict[str, Any]) -> None:
    content["results"].update({f"{NAME}.mp{n}": [] for n in range(9)})


def other_classes(content: dict[str, Any]) -> None:
    for found in content["results"].values():
        for item in found:
            item["label"] = "Jump"


CHECKPOINTS = [
    BadInput("missing", "--test --checkpoint none.pth"),
    BadInput("a folder", "--test --checkpoint data"),
    Tested("empty", spoil=put(GOOD)),
    Tested("truncated", spoil=cut(GOOD, 500)),
    Tested("a text file", spoil=put(GOOD, "not a checkpoint")),
    Tested("Python objects whose loading could execute code", spoil=payload),
    Tested("the same in the legacy format", spoil=put(GOOD, pickle.dumps(Payload()))),
    Tested("another structure", spoil=lambda: torch.save({"state": 1}, GOOD)),
    Tested("of another network or for other features", spoil=weight(lambda w: w[:2])),
    Tested("a weight under another name", spoil=checkpoint(GOOD, rename)),
    Tested("integer weights", spoil=weight(lambda w: w.long())),
    Tested("NaN as a weight", spoil=weight(lambda w: w * torch.nan)),
    Tested("settings out of range", spoil=settings(upsampling=0)),
    Tested("a setting of the wrong type", spoil=settings(cas_thresholds="high")),
    Tested("a data set that is not a name", spoil=settings(dataset=[])),
    Tested(
        "a number instead of the settings", spoil=checkpoint(GOOD, lambda c: c.update(config=3))
    ),
    Resumed("`--resume` from a checkpoint for evaluation only", spoil=without_optimizer),
    Resumed("`--resume` from a truncated checkpoint", spoil=cut(LATEST, 500)),
    Resumed("`--resume` with the optimizer state of another network", spoil=other_optimizer),
    Resumed("`--resume` after a change of the features", spoil=other_features),
]

PREDICTION_FILES = [
    Evaluated("missing", "--predictions none.json"),
    Evaluated("a folder", "--predictions data"),
    Evaluated("empty", spoil=put(PREDICTIONS)),
    Evaluated("truncated", spoil=cut(PREDICTIONS, 30)),
    Evaluated("not UTF-8", spoil=put(PREDICTIONS, b"\xff\xfe")),
    Evaluated("nested too deeply", spoil=put(PREDICTIONS, "[" * 100_000)),
    Evaluated("a number with 5,000 digits", spoil=put(PREDICTIONS, "9" * 5000)),
    Evaluated("another structure", spoil=put(PREDICTIONS, '{"database": {}}')),
    Evaluated("detections that are not a list", spoil=results({NAME: {}})),
    Evaluated("a detection that is not an object", spoil=results({NAME: [5]})),
    Evaluated("a video name that is not valid Unicode", spoil=results({"\ud800": []})),
    Evaluated("no video in common with the annotations", spoil=results({"another": []})),
    Warned("few videos in common with the annotations", spoil=edit(PREDICTIONS, mostly_unknown)),
    Evaluated("a text file", spoil=put(PREDICTIONS, "not predictions")),
    Evaluated("CSV without a header", spoil=put(PREDICTIONS, f"{NAME},1,2,{LABELS[0]},0.5\n")),
    Evaluated("CSV without a score", spoil=put(PREDICTIONS, f"{HEAD[:-6]}\n{NAME},1,2,a\n")),
    Evaluated("CSV with a row too short", spoil=put(PREDICTIONS, f"{HEAD}\n{NAME},1,2\n")),
    Evaluated("CSV with a word as a time", spoil=put(PREDICTIONS, f"{HEAD}\n{NAME},1,x,a,1\n")),
    Evaluated("CSV with an open quote", spoil=put(PREDICTIONS, f'{HEAD}\n{NAME},1,2,"a,1\n')),
    Evaluated(
        "text of the THUMOS14 kit with a line too short",
        spoil=put(PREDICTIONS, f"{NAME} 1 2 7 0.5\n{NAME} 1 2\n"),
    ),
    Evaluated(
        "text of the THUMOS14 kit with other class numbers",
        spoil=put(PREDICTIONS, f"{NAME}.mp4 1 2 0 0.5\n"),
    ),
    Warned(
        "text of the THUMOS14 kit with some other class numbers",
        spoil=put(PREDICTIONS, f"{NAME}.mp4 1 2 7 0.5\n{NAME}.mp4 1 2 5 0.5\n"),
    ),
    Evaluated("annotations of the THUMOS14 kit", spoil=put(PREDICTIONS, f"{NAME} 1 2\n")),
    Warned("CSV with labels that are numbers", spoil=put(PREDICTIONS, f"{HEAD}\n{NAME},1,2,0,1\n")),
    Evaluated("a video twice", spoil=put(PREDICTIONS, '{"results": {"a": [], "a": []}}')),
    Evaluated("a pickle", spoil=put(PREDICTIONS, pickle.dumps({}))),
    Warned("no class in common with the annotations", spoil=edit(PREDICTIONS, other_classes)),
    Evaluated("a label in another spelling", spoil=detection(label="baseball pitch")),
    Evaluated("no label", spoil=detection(label=...)),
    Evaluated("no score", spoil=detection(score=...)),
    Evaluated("no segment", spoil=detection(segment=...)),
    Evaluated("a label that is a number", spoil=detection(label=5)),
    Evaluated("a label with control characters", spoil=detection(label="a\x1b[2J")),
    Evaluated("a segment with one time", spoil=detection(segment=[1])),
    Evaluated("a time that is a word", spoil=detection(segment=[1, "late"])),
    Warned("a segment before the start of the video", spoil=detection(segment=[-1, 2])),
    Warned("a segment that starts before 0 s by rounding", spoil=detection(segment=[-1e-9, 2])),
    Warned("a segment that ends before it starts", spoil=detection(segment=[3, 2])),
    Evaluated(
        "a segment that ends before it starts (`--strict`)",
        "--strict",
        spoil=detection(segment=[3, 2]),
    ),
    Evaluated("NaN as a time", spoil=detection(segment=[1, math.nan])),
    Evaluated("NaN as a score", spoil=detection(score=math.nan)),
    Evaluated("a score too large for a number", spoil=detection(score=10**400)),
    Evaluated("a score that is a string", spoil=detection(score="high")),
]
