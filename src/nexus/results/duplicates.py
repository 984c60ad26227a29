"""Duplicates in a collection, and near-copies of protected pictures."""

from __future__ import annotations

from nexus.results.base import Name, Result, Shown
from nexus.results.text import aligned, printable

__all__ = [
    "CopiesResult",
    "CopyCalibration",
    "CopyMatch",
    "DedupeResult",
    "ExactGroup",
    "NearGroup",
    "NearPair",
    "Suspect",
]


class ExactGroup(Result):
    """Files with the same bytes, in the order in which they were indexed."""

    sha256: str
    paths: tuple[Name, ...]


class NearPair(Result):
    """Two pictures that look the same.

    Attributes:
        first, second: the pictures.
        cosine: of their features, -1..1.
        bits: differing bits of their perceptual hashes, 0..64.
        found_by: which of ``"phash"`` and ``"features"`` called them near.
    """

    first: Name
    second: Name
    cosine: float
    bits: int
    found_by: tuple[str, ...]


class NearGroup(Result):
    """Pictures that hang together by near pairs, and the pairs."""

    paths: tuple[Name, ...]
    pairs: tuple[NearPair, ...]


class DedupeResult(Shown):
    """Duplicates in a collection.

    Attributes:
        count: images looked at.
        exact: files with the same bytes.
        near: different files that look the same; of exact copies only the first takes part.
    """

    count: int
    exact: tuple[ExactGroup, ...]
    near: tuple[NearGroup, ...]

    def lines(self) -> list[str]:
        """Exact groups first, then near ones, with what found each pair."""
        said = [f"{len(self.exact)} exact and {len(self.near)} near groups among {self.count} images"]
        for exact in self.exact:
            said += ["exact:", *(f"  {printable(path)}" for path in exact.paths)]
        for near in self.near:
            said += ["near:", *(f"  {printable(path)}" for path in near.paths)]
            said += [
                f"    {printable(pair.first)} ~ {printable(pair.second)}: cosine {pair.cosine:.4f}, "
                f"{pair.bits} of 64 bits differ, found by {' and '.join(pair.found_by)}"
                for pair in near.pairs
            ]
        return said + self.written()


class CopyMatch(Result):
    """A protected picture that a suspect is a near-copy of.

    Attributes:
        path: the protected picture.
        score: up to 1; the larger of `cosine` and ``1 - bits / 32``.
        cosine: of the features, -1..1.
        bits: differing bits of the perceptual hashes, 0..64.
    """

    path: Name
    score: float
    cosine: float
    bits: int


class CopyCalibration(Result):
    """What a threshold is worth on given pictures.

    Attributes:
        threshold: scores from here on count as copies.
        pictures: how many were edited.
        pairs: unrelated pairs that were scored.
        false_alarms: of these, how many reached the threshold.
        false_alarm_rate: the share, 0..1.
        false_alarm_upper: upper end of its 95 % interval.
        recall: edit -> share of edited pictures that were recognised.
    """

    threshold: float
    pictures: int
    pairs: int
    false_alarms: int
    false_alarm_rate: float
    false_alarm_upper: float
    recall: dict[str, float]

    def lines(self) -> list[str]:
        """The rates as a table."""
        alarms = f"{self.false_alarm_rate:.2%} (at most {self.false_alarm_upper:.2%}) of {self.pairs} unrelated pairs"
        return [
            f"threshold {self.threshold:.2f}: false alarms {alarms}",
            *aligned([(f"  {edit}", f"{share:.0%} recognised") for edit, share in self.recall.items()]),
        ]


class Suspect(Result):
    """One suspect and the protected pictures that it is a near-copy of, best first; none where it is innocent."""

    path: Name
    matches: tuple[CopyMatch, ...]


class CopiesResult(Shown):
    """Which suspects are near-copies of protected pictures.

    Attributes:
        collection: the protected pictures.
        threshold: scores from here on are copies.
        suspects: every suspect that could be read.
        calibration: what the threshold is worth on these protected pictures, where it was asked for.
    """

    collection: Name
    threshold: float
    suspects: tuple[Suspect, ...]
    calibration: CopyCalibration | None = None

    def lines(self) -> list[str]:
        """One line per match, then how many were innocent, then the calibration."""
        said = [
            f"{printable(suspect.path)} is a copy of {printable(match.path)} (score: {match.score:.3f}, "
            f"cosine: {match.cosine:.3f}, {match.bits} of 64 bits differ)"
            for suspect in self.suspects
            for match in suspect.matches
        ]
        guilty = sum(bool(suspect.matches) for suspect in self.suspects)
        said.append(f"{guilty} of {len(self.suspects)} suspects are near-copies at threshold {self.threshold:.2f}")
        return said + (self.calibration.lines() if self.calibration else []) + self.written()
