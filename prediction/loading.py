"""Loads a checkpoint for prediction: its network, its settings and the names of its classes.

Letters: D channels of a snippet, C action classes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from build import build_network
from config.datasets import DATASETS
from config.model_config import Config, make_config, settings_of
from dataset.classes import class_difference
from dataset.labels import read_class_names
from prediction.predictor import Predictor
from record.checkpoint import read_checkpoint, stored_classes
from utils.device import choose_device
from utils.errors import UserError

CLASSIFIER = "snippet_cls.weight"  # (C + 1, D), in every checkpoint
DROPOUT_FIRST = "feature_embedding.1.weight"  # the name of a weight with --input_dropout


class NetworkSize(NamedTuple):
    """The classes and the channels of a checkpoint, from which its network is built."""

    classes: tuple[str, ...]
    feature_dim: int


def load_predictor(checkpoint: Path, class_names: Path | None = None, **settings: Any) -> Predictor:
    """Loads a checkpoint of this program or of an official implementation.

    Settings and class names are those stored in it. What an older or official checkpoint does not
    store follows from the data set: that of its settings, of `dataset`, or else the one with as
    many classes, which is then printed.

    Args:
        checkpoint: Checkpoint file.
        class_names: File with the class names in index order, instead of those of the checkpoint.
        settings: Settings by flag of main_thu.py, instead of those of the checkpoint.

    Raises:
        UserError: If the file is no checkpoint of ACM-Net or FTCL-Net, if its classes cannot be
            named, or if a setting is wrong.
    """
    content = read_checkpoint(checkpoint)
    weights = content["model_state_dict"]
    classifier = weights.get(CLASSIFIER)
    if classifier is None or classifier.dim() != 2 or classifier.shape[0] < 2:
        raise UserError(
            f"checkpoint {checkpoint} has no {CLASSIFIER} (classes + 1, channels); wanted one of "
            "ACM-Net or FTCL-Net, of this program or of an official implementation"
        )
    num_classes, feature_dim = classifier.shape[0] - 1, classifier.shape[1]
    stored = settings_of(content)
    if not stored:
        stored = _guessed_settings(checkpoint, weights, num_classes, settings, class_names)
    config = make_config(**{**stored, **settings, "test": True, "checkpoint": str(checkpoint)})
    classes = _class_names(checkpoint, content, config, class_names)
    if len(classes) != num_classes:
        raise UserError(
            f"checkpoint {checkpoint} distinguishes {num_classes} classes, and "
            f"{class_names or config.spec.title} names {len(classes)}; --class_names FILE names "
            "them in index order, one per line"
        )
    device = choose_device(config.device, config.gpu, config.precision, config.deterministic)
    net = build_network(config, NetworkSize(classes, feature_dim), content).to(device.device)
    return Predictor(net.eval(), classes, feature_dim, config, device)


def _guessed_settings(
    checkpoint: Path,
    weights: Mapping[str, Tensor],
    num_classes: int,
    given: Mapping[str, Any],
    class_names: Path | None,
) -> dict[str, Any]:
    """The settings of a checkpoint that stores none: those of a data set, which is printed."""
    settings: dict[str, Any] = {"input_dropout": 0.7 if DROPOUT_FIRST in weights else 0.0}
    if "dataset" in given:
        return settings
    fitting = [spec for spec in DATASETS.values() if len(spec.classes) == num_classes]
    if not fitting and class_names is None:
        raise UserError(
            f"checkpoint {checkpoint} stores neither settings nor class names, and no known data "
            f"set has {num_classes} classes; --class_names FILE names them in index order"
        )
    spec = fitting[0] if fitting else next(iter(DATASETS.values()))
    what = "settings are" if class_names else f"{num_classes} classes and settings are"
    stride = {n: given.get(n, spec.defaults[n]) for n in ("snippet_frames", "frames_per_second")}
    print(
        f"checkpoint {checkpoint} stores no settings: its {what} taken to be those of {spec.title} "
        f"(--dataset {spec.name}), snippets every {stride['snippet_frames']} frames at "
        f"{stride['frames_per_second']:g} frames per second"
    )
    return {**settings, "dataset": spec.name}


def _class_names(
    checkpoint: Path, content: Mapping[str, Any], config: Config, file: Path | None
) -> tuple[str, ...]:
    """The class names: of the file, else of the checkpoint, else of its data set."""
    stored = stored_classes(content, checkpoint)
    if file is None:
        if stored is None and not config.spec.classes:
            raise UserError(
                f"checkpoint {checkpoint} stores no class names; --class_names FILE names them in "
                "the order of its training, one per line"
            )
        return stored or config.spec.classes
    by_index = read_class_names(file)
    if sorted(by_index) != list(range(len(by_index))):
        raise UserError(f"class name file {file}: wanted the indices 0 to {len(by_index) - 1}")
    names = tuple(by_index[index] for index in range(len(by_index)))
    if stored is not None and len(stored) == len(names):
        difference = class_difference(stored, names)
        if difference:
            print(f"warning: {file} renames the classes of the checkpoint: {difference}")
    return names
