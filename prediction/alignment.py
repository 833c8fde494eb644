"""Aligns pairs of videos with a trained FTCL-Net, as its contrastive losses do.

Letters: N snippets of a video, T sampled ones, D channels, L and M candidate snippets of two
videos. Source: FTCL (CVPR 2022), sections 3.2 and 3.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from config.model_config import Config
from config.setting import flag_of
from dataset.dataset import Split
from dataset.sampling import uniform_rows
from eval.report.alignments import AlignedPair, AlignedVideo, Alignment
from models.alignment import (
    cosine_table,
    fine_grained_sequence_distance,
    fsd_path,
    lcs_path,
    longest_common_subsequence,
)
from models.branches import INSTANCE
from models.candidates import (
    Candidates,
    action_candidates,
    background_candidates,
    first_occurrences,
    gather_snippets,
)
from models.contrastive import cosine_tables
from models.ftclnet import FTCLNet
from record.checkpoint import load_weights
from utils.device import Device
from utils.errors import UserError

PROJECTION, DELETE_PROJECTION = "feature_trans.weight", "delete_trans.weight"
DROPOUT_FIRST = "feature_embedding.1.weight"  # the name of a weight with --input_dropout


class _Embedded(NamedTuple):
    """What the network says about one video.

    Attributes:
        embedding: (1, T, D).
        attention: (1, T, 3).
        usable: (1, T) bool, the snippets that may be candidates; None for all.
        video: The video for the figure.
        labels: (C,) 1 where the class occurs.
    """

    embedding: Tensor
    attention: Tensor
    usable: Tensor | None
    video: AlignedVideo
    labels: Tensor


@dataclass(frozen=True)
class Aligner:
    """Aligns the candidate snippets of two videos as in training.

    Snippets are sampled evenly, as in the evaluation; training samples them at random, those of
    short videos several times.

    Attributes:
        net: FTCL-Net in evaluation mode, on the device.
        config: Settings, with those of the contrastive losses (`contrastive_settings`).
        classes: Class names in index order.
        device: Device of the network and the videos.
    """

    net: FTCLNet
    config: Config
    classes: tuple[str, ...]
    device: Device

    @torch.inference_mode()
    def __call__(self, split: Split, first: int, second: int) -> AlignedPair:
        """Aligns two videos of a split on the device, given by index.

        FSD aligns action candidates; of the second video of a negative pair those that stand for
        background, as in the loss. A loss that was left out in training is not shown.
        """
        one, other = self._embed(split, first), self._embed(split, second)
        positive = bool((one.labels * other.labels).sum() > 0)
        alignments = []
        if not self.config.without_fsd:
            alignments.append(self._fsd(one, other, positive))
        if not self.config.without_lcs:
            alignments.append(self._lcs(one, other))
        return AlignedPair(one.video, other.video, positive, tuple(alignments))

    def _embed(self, split: Split, index: int) -> _Embedded:
        length = int(split.features.lengths[index])
        rows = uniform_rows(length, self.config.num_snippets)[None]  # (1, T)
        place = torch.tensor([index])
        features = split.features.gather(
            place.to(self.device.device), rows.to(self.device.device)
        )  # (1, T, D)
        with self.device.autocast():
            output = self.net(features)
        span = split.spans[index] if split.spans else None
        duration = length * self.config.snippet_seconds if span is None else span
        video, labels = split.videos[index], split.labels[index].cpu()
        return _Embedded(
            output.embedding,
            output.attention,
            first_occurrences(rows).to(features.device)
            if self.config.distinct_candidates
            else None,
            AlignedVideo(
                video.name,
                tuple(self.classes[label] for label in labels.nonzero()[:, 0].tolist()),
                rows[0].numpy() * (duration / length),
                output.attention[0, :, INSTANCE].float().cpu().numpy(),
                duration,
                video.segments,
            ),
            labels,
        )

    def _fsd(self, one: _Embedded, other: _Embedded, positive: bool) -> Alignment:
        length, gamma = self.config.fsd_len, self.config.gamma
        first = action_candidates(one.attention, length, one.usable)
        if positive:
            second = action_candidates(other.attention, length, other.usable)
        else:
            kind = self.config.background
            second = background_candidates(other.attention, length, kind, other.usable)
        first, second = _trimmed(first), _trimmed(second)
        with self.device.autocast():
            moves = [
                self.net.project(_snippets(video, chosen))
                for video, chosen in ((one, first), (other, second))
            ]
        tables = cosine_tables(*moves)  # (1, L, M) each
        return Alignment(
            "FSD",
            first.chosen[0].cpu().numpy(),
            second.chosen[0].cpu().numpy(),
            tables.match[0].cpu().numpy(),
            fsd_path(*tables, gamma)[0].cpu().numpy(),
            fine_grained_sequence_distance(*tables, gamma).item(),
            background=not positive,
        )

    def _lcs(self, one: _Embedded, other: _Embedded) -> Alignment:
        length, threshold = self.config.lcs_len, self.config.lcs_threshold
        first, second = (
            _trimmed(action_candidates(video.attention, length, video.usable))
            for video in (one, other)
        )
        similarity = cosine_table(_snippets(one, first), _snippets(other, second))  # (1, L, M)
        return Alignment(
            "LCS",
            first.chosen[0].cpu().numpy(),
            second.chosen[0].cpu().numpy(),
            similarity[0].cpu().numpy(),
            lcs_path(similarity, threshold)[0].cpu().numpy(),
            longest_common_subsequence(similarity, threshold).item(),
            threshold,
        )


def _trimmed(candidates: Candidates) -> Candidates:
    """The candidates of one video without padding."""
    return candidates._replace(chosen=candidates.chosen[:, : int(candidates.lengths[0])])


def _snippets(video: _Embedded, candidates: Candidates) -> Tensor:
    """(1, L, D) embeddings of the candidates."""
    return gather_snippets(video.embedding, candidates)[0].snippets


def can_align(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was trained with a contrastive loss."""
    settings = contrastive_settings(checkpoint)
    without = settings.get("without_fsd", False) and settings.get("without_lcs", False)
    return PROJECTION in checkpoint["model_state_dict"] and not without


def load_aligner(
    checkpoint: Mapping[str, Any], config: Config, classes: tuple[str, ...], device: Device
) -> Aligner:
    """Builds the network of a checkpoint with its projection.

    Args:
        checkpoint: Result of `read_checkpoint`.
        config: Settings; those of the contrastive losses are taken from the checkpoint.
        classes: Class names in index order.
        device: Device of the network and the videos.

    Raises:
        UserError: If it is no checkpoint of an FTCL-Net or was trained without contrastive losses.
    """
    path, weights = Path(config.checkpoint), checkpoint["model_state_dict"]
    if not can_align(checkpoint):
        why = "was trained without contrastive losses (--without_fsd --without_lcs)"
        if PROJECTION not in weights:
            why = f"has no projection ({PROJECTION}), as it is not one of FTCL-Net"
        raise UserError(
            f"checkpoint {path} {why}; wanted one that main_thu.py --ftcl or the official "
            "implementation wrote"
        )
    fc_dim, feature_dim = weights[PROJECTION].shape
    net = FTCLNet(
        feature_dim,
        len(classes),
        input_dropout=float(DROPOUT_FIRST in weights),
        fc_dim=fc_dim,
        separate_gaps=DELETE_PROJECTION in weights,
        temporal_conv=config.temporal_conv,
    )
    load_weights(net, weights, path)
    config = replace(config, **contrastive_settings(checkpoint))
    return Aligner(net.to(device.device).eval(), config, classes, device)


def contrastive_settings(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the contrastive losses by field; none if a checkpoint stores no settings."""
    by_field = {setting.name: setting for setting in fields(Config)}
    group = by_field["fsd_len"].metadata["group"]
    stored = checkpoint.get("config", {})
    return {
        name: stored[flag_of(setting)]
        for name, setting in by_field.items()
        if setting.metadata["group"] == group and flag_of(setting) in stored
    }
