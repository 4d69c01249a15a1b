"""Confidence intervals of means and of ratios, from sums alone, so that any engine can add up.

Tasks are taken for a sample of the tasks that the same people would do under the same conditions.
"""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

CONFIDENCE = 0.95
"""How often an interval holds the true value."""

FEWEST = 5
"""Of fewer tasks no interval is said."""


class Sums(NamedTuple):
    """What pairs of numbers (x, y) add up to.

    Attributes:
        n: How many pairs.
        x: Sum of x, and so on.
    """

    n: int
    x: float
    y: float
    xx: float
    yy: float
    xy: float


class Interval(NamedTuple):
    """From where to where; ``None``: nothing bounds it on that side."""

    low: float | None
    high: float | None


NOTHING_KNOWN = Interval(None, None)


def of_mean(sums: Sums) -> Interval:
    """Give the interval of the mean of x, by Student's t.

    >>> of_mean(Sums(5, 15.0, 0, 55.0, 0, 0))  # 1, 2, 3, 4, 5
    Interval(low=1.04, high=4.96)
    """
    if sums.n < FEWEST:
        return NOTHING_KNOWN
    half = _student(sums.n - 1) * sqrt(_covariance(sums.n, sums.x, sums.x, sums.xx) / sums.n)
    mean = sums.x / sums.n
    return Interval(round(max(0.0, mean - half), 9), round(mean + half, 9))


def of_ratio(sums: Sums, beside: float = 0.0) -> Interval:
    """Give the interval of (sum of x + what is beside them) / sum of y, by Fieller's theorem.

    Where so few of y are not zero that their sum could as well be none, nothing bounds the ratio
    from above.

    Source: E. C. Fieller, "Some Problems in Interval Estimation", JRSS B 16 (1954), 175-185.
    """
    if sums.n < FEWEST or sums.y <= 0:
        return NOTHING_KNOWN
    n, t2 = sums.n, _student(sums.n - 1) ** 2
    x, y = sums.x + beside, sums.y
    vx = t2 * n * _covariance(n, sums.x, sums.x, sums.xx)
    vy = t2 * n * _covariance(n, sums.y, sums.y, sums.yy)
    vxy = t2 * n * _covariance(n, sums.x, sums.y, sums.xy)
    a, b, c = y * y - vy, x * y - vxy, x * x - vx
    root = b * b - a * c
    if a <= 0 or root < 0:
        return NOTHING_KNOWN
    return Interval(max(0.0, (b - sqrt(root)) / a), (b + sqrt(root)) / a)


def _covariance(n: int, x: float, y: float, xy: float) -> float:
    return max(0.0, (xy - x * y / n) / (n - 1)) if x == y else (xy - x * y / n) / (n - 1)


def _student(degrees: int) -> float:
    """Give the two-sided quantile of Student's t, to three digits from four degrees on.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions (1972), 26.7.5.

    >>> round(_student(4), 2), round(_student(9), 3), round(_student(10_000), 3)
    (2.78, 2.262, 1.96)
    """
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum((term / float(degrees**power) for power, term in enumerate(terms)), 0.0)
