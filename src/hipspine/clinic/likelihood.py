"""This file answers: how does a published likelihood ratio move a share, and how far may it move it?

A likelihood ratio multiplies the odds: p/(1-p) [any textbook, for instance Newman and Kohn, Evidence-Based Diagnosis].
Ratios carry their interval; where none was printed it is widened by a factor of two each way. The total is held
between 0.1 and 10 (DESIGN, section 8), unless one pooled cluster goes beyond.
"""

from __future__ import annotations

from dataclasses import dataclass

from hipspine.evidence.register import Claim

CAP = 10.0  # the total ratio of one source stays between 1/CAP and CAP
UNPRINTED = 2.0  # widening each way where no interval was printed


@dataclass(frozen=True)
class Ratio:
    """A likelihood ratio with its interval, low <= point <= high."""

    point: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.point <= self.high:
            raise ValueError(f"Ratio {self.low:g} <= {self.point:g} <= {self.high:g} does not hold.")

    @classmethod
    def of(cls, claim: Claim) -> Ratio:
        """The ratio of a claim; without a printed interval widened by UNPRINTED each way."""
        assert claim.value is not None
        ends = claim.interval or claim.range
        if ends:
            return cls(claim.value, *ends)
        return cls(claim.value, claim.value / UNPRINTED, claim.value * UNPRINTED)

    def times(self, other: Ratio) -> Ratio:
        """Both together if they were independent."""
        return Ratio(self.point * other.point, self.low * other.low, self.high * other.high)

    def within(self, low: float, high: float) -> Ratio:
        """The same, point and ends held between two limits."""

        def held(value: float) -> float:
            return min(max(value, low), high)

        return Ratio(held(self.point), held(self.low), held(self.high))

    def at_most(self, other: Ratio) -> Ratio:
        """The weaker of the two upwards, end by end: a part never says more than its whole."""
        high = min(self.high, other.high)
        point = min(self.point, other.point, high)
        return Ratio(point, min(self.low, other.low, point), high)

    def at_least(self, other: Ratio) -> Ratio:
        """The weaker of the two downwards, end by end."""
        low = max(self.low, other.low)
        point = max(self.point, other.point, low)
        return Ratio(point, low, max(self.high, other.high, point))


NEUTRAL = Ratio(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Spread:
    """A share between 0 and 1 with its ends."""

    point: float
    low: float
    high: float


def share_after(prior: float, ratio: float) -> float:
    """Share among people with the finding, from the share before and the likelihood ratio."""
    odds = prior / (1.0 - prior) * ratio
    return odds / (1.0 + odds)


def post_test(prior: float, ratio: Ratio) -> Spread:
    """Share after a finding; its ends follow from the ends of the ratio."""
    return Spread(*(share_after(prior, one) for one in (ratio.point, ratio.low, ratio.high)))


def prevalence_ceiling(prior: float, positive_share: float) -> float:
    """The largest likelihood ratio a finding can have where `positive_share` of all people show it.

    If everybody with the source shows the finding, the others show it in (positive_share - prior) / (1 - prior); that
    is the least, so the ratio is at most the inverse. Infinite when the finding is rarer than the source.
    """
    others = (positive_share - prior) / (1.0 - prior)
    return 1.0 / others if others > 0.0 else float("inf")
