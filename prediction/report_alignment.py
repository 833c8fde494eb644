"""The alignments that the report of an FTCL-Net shows: a positive and a negative pair."""

from collections.abc import Mapping
from typing import Any

from config.model_config import Config
from dataset.dataset import Dataset
from eval.report.figure_files import EmbeddedImage
from prediction.alignment import can_align, load_aligner
from prediction.chosen_pairs import default_pairs
from utils.device import Device


def report_alignment(
    checkpoint: Mapping[str, Any], config: Config, data: Dataset, device: Device
) -> EmbeddedImage | None:
    """Draws how a checkpoint aligns test videos.

    Args:
        checkpoint: Result of `read_checkpoint`.
        config: Settings of the test.
        data: Data directory with its test split on the device.
        device: Device.

    Returns:
        The figure; None for a checkpoint that was trained without contrastive losses, and if no two
        test videos share a class.
    """
    if not can_align(checkpoint):
        return None
    aligner = load_aligner(checkpoint, config, data.classes, device)
    split = data.splits["test"]
    labels = [{data.classes[i] for i in row.nonzero()[:, 0]} for row in split.labels.cpu()]
    pairs = default_pairs(labels, split.features.lengths.tolist(), aligner.config.lcs_len)
    if not pairs:
        return None
    from eval.report.alignment_figure import describe, draw_alignments, svg_image  # slow

    aligned = [aligner(split, *pair) for pair in pairs]
    return EmbeddedImage(svg_image(draw_alignments(aligned)), tuple(describe(aligned)))
