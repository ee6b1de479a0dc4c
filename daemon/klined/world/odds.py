"""From uniform numbers to distributions, by inversion: normal, Student's t, t-copulas, Poisson.

uniform ─▶ normal_quantile | student_quantile ─▶ shocks of unit variance
common and own uniforms ─▶ copula ─▶ uniforms that crash together
"""

from math import exp, lgamma, log, pi, sqrt

import numpy as np

from klined.world.dice import Dice, Floats

EDGE = 1e-12  # nothing is drawn that is rarer than this
RARE = 1e-13
GRID = np.sinh(np.linspace(0.0, 18.0, 8_001))  # half-line of t, dense at 0, up to 3e7

A = (
    2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
    13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608,
)  # fmt: skip
B = (
    5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
    5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0,
)  # fmt: skip
C = (
    7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
    3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734,
)  # fmt: skip
D = (
    1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
    0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0,
)  # fmt: skip
E = (
    2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
    0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772,
)  # fmt: skip
F = (
    2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
    0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0,
)  # fmt: skip


def normal_quantile(u: Floats) -> Floats:
    """Inverse of the normal distribution on (0, 1): algorithm AS 241, PPND16 (Wichura, 1988), to 1e-15 or so."""
    u = np.clip(u, EDGE, 1.0 - EDGE)
    q = u - 0.5
    r = 0.180625 - q * q
    middle = q * _polynomial(A, r) / _polynomial(B, r)
    tail = np.sqrt(-np.log(np.minimum(u, 1.0 - u)))
    near, far = tail - 1.6, tail - 5.0
    outside = np.where(
        tail <= 5.0, _polynomial(C, near) / _polynomial(D, near), _polynomial(E, far) / _polynomial(F, far)
    )
    return np.asarray(np.where(np.abs(q) <= 0.425, middle, np.copysign(outside, q)))


def student_tail(t: Floats, nu: int) -> Floats:
    """P(T > t) of Student's t for t >= 0 and whole `nu`: the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4.

    Where little is left of the sums, the leading term of the tail.
    """
    theta = np.arctan2(t, sqrt(nu))
    cos2 = np.cos(theta) ** 2
    term = np.sin(theta) * (1.0 if nu % 2 == 0 else np.cos(theta) if nu > 1 else 0.0)
    total = np.zeros_like(theta) + term
    for k in range(2 if nu % 2 == 0 else 3, nu - 1, 2):
        term = term * cos2 * (k - 1) / k
        total = total + term
    inside = total if nu % 2 == 0 else 2.0 / pi * (theta + total)
    constant = lgamma((nu + 1) / 2) - lgamma(nu / 2) + 0.5 * (nu - 2) * log(nu) - 0.5 * log(pi)
    left = 0.5 * (1.0 - inside)
    far = np.exp(constant - nu * np.log(np.maximum(t, 1.0)))
    return np.asarray(np.where(left < RARE, far, left))


def student_quantile(u: Floats, nu: int) -> Floats:
    """Inverse of Student's t with `nu` >= 3 degrees, scaled to unit variance; interpolated, to 1e-5 relative."""
    u = np.clip(u, EDGE, 1.0 - EDGE)
    tails = np.log(np.maximum(student_tail(GRID, nu), 1e-300))
    size = np.interp(-np.log(2.0 * np.minimum(u, 1.0 - u)), -tails - np.log(2.0), GRID)
    return np.asarray(np.copysign(size, u - 0.5) * sqrt((nu - 2.0) / nu))


def copula(common: Dice, own: Dice, correlation: float, nu: int) -> Floats:
    """Uniforms of one symbol out of a t-copula: normals that share a factor, over a common chi (Demarta, McNeil 2005).

    `correlation` of the normals in [0, 1); `nu` whole, from 1: the smaller, the likelier that all crash at once.
    Streams 30 and on of `common` (the factor, and `nu` normals whose squares sum to chi squared), 30 of `own`.
    """
    normal = sqrt(correlation) * common.normal(30, 0) + sqrt(1.0 - correlation) * own.normal(30, 0)
    squares = sum((common.normal(32 + 2 * k, 0) ** 2 for k in range(nu)), np.zeros_like(normal))
    t = normal / np.sqrt(np.maximum(squares, 1e-12) / nu)
    tail = student_tail(np.abs(t), nu)
    return np.asarray(np.where(t > 0.0, 1.0 - tail, tail))


def poisson(mean: float, u: float, z: float) -> int:
    """A Poisson count by inversion of `u`; above a mean of 200 rounded from the standard normal `z`."""
    if mean > 200.0:
        return max(0, round(mean + sqrt(mean) * z))
    count, chance = 0, exp(-mean)
    total = chance
    while u > total and chance > 0.0:
        count += 1
        chance *= mean / count
        total += chance
    return count


def _polynomial(coefficients: tuple[float, ...], x: Floats) -> Floats:
    total = np.zeros_like(x)
    for coefficient in coefficients:
        total = total * x + coefficient
    return total
