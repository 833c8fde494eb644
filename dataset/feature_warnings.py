"""Warnings about features that do not look like those of I3D, each with its probable cause."""

import math
from dataclasses import dataclass

from dataset.statistics import FeatureStatistics

STREAM = 1024  # channels of one stream of I3D
PER_SNIPPET = 2 * 7 * 7  # values of which the average pooling makes one
REPEATED = 0.15  # fraction of equal neighbours above which videos were padded or stretched
ALIKE = 0.99  # cosine above which two videos, or two neighbouring snippets, are the same


@dataclass(frozen=True)
class Reference:
    """Statistics of real I3D features, named as those of `FeatureStatistics`.

    Attributes:
        title: What they are.
    """

    title: str
    norm: float
    norm_range: tuple[float, float]
    near_zero: float
    neighbours: float
    between: float
    half_norms: tuple[float, float] | None = None
    negative: float = 0.0


# Measured with `measure_features` on 16 videos with real two-stream I3D features, and on each
# stream of them, at strides of 24 and 64 frames; at 16 frames, neighbours are more alike.
TWO_STREAM = Reference(
    "real I3D, RGB + flow", 10.2, (7.6, 14.5), 0.048, 0.82, 0.65, half_norms=(8.3, 5.7)
)
REAL_HALVES = "8.3 against 5.7"
RGB = Reference("real I3D, RGB", 8.3, (6.1, 12.0), 0.018, 0.85, 0.63)
FLOW = Reference("real I3D, flow", 5.7, (3.6, 8.1), 0.078, 0.75, 0.70)


def references_for(channels: int) -> tuple[Reference, ...]:
    """The real features with this number of channels; none if they are not those of I3D."""
    return {2 * STREAM: (TWO_STREAM,), STREAM: (RGB, FLOW)}.get(channels, ())


def feature_warnings(found: FeatureStatistics) -> list[str]:
    """What is unusual about features, what it points to and what helps; one line each."""
    warnings = _degenerate_videos(found)
    references = references_for(found.channels)
    if references:
        texts = (
            _channel_order(found),
            _negative(found),
            _scale(found, references),
            _dead_channels(found),
            _repeated(found),
            _alike(found),
        )
        warnings += [text for text in texts if text]
    return warnings


def _degenerate_videos(found: FeatureStatistics) -> list[str]:
    """Warnings for features of any kind: constant videos, and videos with the same features."""
    warnings = []
    if names := found.constant_videos:
        warnings.append(
            f"{_videos(names)} only one snippet, repeated: the extraction failed or the video is a "
            "still picture; extract them again"
        )
    if groups := found.equal_videos:
        pair = " and ".join(groups[0][:2])
        also = f" ({len(groups)} such groups)" if groups[1:] else ""
        warnings.append(
            f"{pair} have the same features{also}: the same video twice, or features under a wrong "
            "name; a video in both splits makes the evaluation worthless"
        )
    return warnings


def _channel_order(found: FeatureStatistics) -> str:
    first, second = found.half_norms
    if found.channels != 2 * STREAM or not 0 < first < second:
        return ""
    return (
        f"channel order: the second half of the channels is larger (norm {second:.3g}) than the "
        f"first ({first:.3g}); in real features RGB is larger ({REAL_HALVES}) and comes "
        "first: the flow seems to come first here; use --channel_order flow_rgb"
    )


def _negative(found: FeatureStatistics) -> str:
    if found.negative < 1e-4:
        return ""
    return (
        f"negative entries: {_percent(found.negative)}, real I3D features have none, as they are "
        "averages of values after a ReLU: a mean was subtracted, or they were taken from another "
        "layer; extract them again (python -m extraction) or undo the normalization"
    )


def _scale(found: FeatureStatistics, references: tuple[Reference, ...]) -> str:
    low = min(reference.norm_range[0] for reference in references) / 2
    high = max(reference.norm_range[1] for reference in references) * 2
    if math.isfinite(found.norm) and found.norm_deviation < 0.01 * found.norm:
        return (
            f"scale: all snippets have the norm {found.norm:.3g}: they are L2-normalized, and the "
            "norm, which the feature loss of ACM-Net compares with --feat_margin, is lost; use "
            "features without normalization"
        )
    if low <= found.norm <= high:
        return ""
    factor = found.norm / references[0].norm
    cause, divisor = "multiplied by a constant, or of another network", f"{factor:.2g}"
    if 150 < factor < 400:
        cause, divisor = "multiplied by 255, or of pixel values 0 to 255 instead of -1 to 1", "255"
    elif PER_SNIPPET / 2 < factor < PER_SNIPPET * 1.5:
        cause = f"sums over the {PER_SNIPPET} positions of the last layer instead of averages"
        divisor = str(PER_SNIPPET)
    return (
        f"scale: the mean norm of a snippet is {number(found.norm)}, {number(factor)} times that "
        f"of real I3D features ({references[0].norm:g}): {cause}; the loss weights and "
        "--feat_margin are made for the real scale: extract the features again, or divide them by "
        f"{divisor}"
    )


def _dead_channels(found: FeatureStatistics) -> str:
    dead, half = sum(found.dead_channels), found.channels // 2
    if dead <= found.channels // 4:
        return ""
    where = ""
    if found.channels == 2 * STREAM:
        names = ("RGB", "flow")
        missing = [n for n, d in zip(names, found.dead_channels, strict=True) if d > 0.9 * half]
        where = f", all of {' and '.join(missing)}" if missing else ""
    return (
        f"empty channels: {dead} of {found.channels} are zero in all snippets{where}: a stream is "
        "missing; extract it, or use the other one alone (python -m extraction --streams)"
    )


def _repeated(found: FeatureStatistics) -> str:
    if found.zero > 0.01:
        return (
            f"zero snippets: {_percent(found.zero)}: padded features; cut them to the length "
            "of the video"
        )
    if found.repeated <= REPEATED or found.constant_videos:
        return ""
    return (
        f"repeated snippets: {_percent(found.repeated)} equal the one before: padded or stretched "
        "features; use them as extracted, or --snippet_timing duration if they were rescaled"
    )


def _alike(found: FeatureStatistics) -> str:
    if found.between > ALIKE:
        return (
            f"the videos look alike: their mean snippets have the cosine {found.between:.3f} "
            f"(real: {TWO_STREAM.between}): wrong or empty pictures; look at the decoded frames"
        )
    if found.neighbours > ALIKE and not found.constant_videos:
        return (
            f"neighbouring snippets look alike: cosine {found.neighbours:.3f} (real: "
            f"{TWO_STREAM.neighbours}): interpolated features, or windows that overlap much; check "
            "--snippet_frames and --frames_per_second"
        )
    if found.neighbours < TWO_STREAM.neighbours - 0.3:
        return (
            f"neighbouring snippets hardly look alike: cosine {found.neighbours:.2f} (real: "
            f"{TWO_STREAM.neighbours}): snippets in a wrong order, or rows and channels mixed up "
            "by a reshape; extract them again"
        )
    return ""


def _videos(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 1} more have" if names[1:] else " has"
    return f"{names[0]}{more}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g} %"


def number(value: float) -> str:
    """A number with three significant digits, or as an integer."""
    return f"{value:,.0f}" if 1000 <= value < math.inf else f"{value:.3g}"
