"""Annotated videos and their segments."""

from dataclasses import dataclass

NOWHERE = (0.0, -1.0)  # times of an instance that no detection can find


@dataclass(frozen=True)
class Segment:
    """One annotated action instance.

    Attributes:
        start, end: Seconds. No detection finds an instance that ends before it starts.
        label: Name of the class.
        flaw: What is wrong with the segment in the file, and where; "" if nothing is.
    """

    start: float
    end: float
    label: str
    flaw: str = ""

    @property
    def can_be_found(self) -> bool:
        """Whether a detection can overlap the segment."""
        return self.start <= self.end


@dataclass(frozen=True)
class Video:
    """One annotated video. Training reads only `labels`, never a segment."""

    name: str
    subset: str
    duration: float | None  # seconds; None if the file does not give it
    segments: tuple[Segment, ...]
    video_level_labels: tuple[str, ...] = ()  # classes of annotations without a segment

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that occur in the video, without duplicates, sorted by name."""
        of_segments = {segment.label for segment in self.segments}
        return tuple(sorted(of_segments.union(self.video_level_labels)))
