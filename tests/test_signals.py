"""Padding, resampling, filtering, splines and the recipes made of them: laws, golden data of OpenSim 4.6, refusals."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hipspine.errors import DataError
from hipspine.motion.differentiation import rate_at_samples
from hipspine.motion.filtering import lowpass_like_opensim, lowpass_zero_phase
from hipspine.motion.padding import pad_point_reflected
from hipspine.motion.preparation import (
    analyze_rows,
    inverse_dynamics_rows,
    prepare_like_opensim_analyze,
    prepare_like_opensim_inverse_dynamics,
    prepare_motion,
    record_like_opensim,
    rows_like_opensim,
)
from hipspine.motion.resampling import resample_like_opensim, uniform_grid
from hipspine.motion.splines import derivatives_at_samples, interpolate, natural_spline

DEGREES = (3, 5, 7)
RECIPES = (prepare_motion, prepare_like_opensim_inverse_dynamics, prepare_like_opensim_analyze)
BAR = 1e-9  # the bar of the project for filter, splines and padding, relative to each column's own peak


def uneven_record(seed: int, n: int = 60, columns: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 0.3 + np.cumsum(rng.uniform(0.006, 0.014, n)), rng.normal(size=(n, columns)).cumsum(0)


def assert_columns_close(found, expected, bar, floor=0.0):
    """Largest error of each column, relative to the column's own peak (or `floor`, where that is larger)."""
    peak = np.maximum(np.abs(expected).max(0), floor)
    error = np.abs(found - expected).max(0)
    assert (error <= bar * peak).all(), f"relative errors {error / peak}"


# Splines: laws ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", DEGREES)
def test_a_natural_spline_reproduces_polynomials_below_its_half_order_everywhere(degree):
    t, _ = uneven_record(1)
    half = (degree + 1) // 2
    polynomial = np.polynomial.Polynomial(np.random.default_rng(degree).normal(size=half))  # degree half - 1
    spline = natural_spline(t, polynomial(t), degree)
    outside_too = np.linspace(t[0] - 0.2, t[-1] + 0.2, 333)
    for order in range(3):
        expected = polynomial.deriv(order)(outside_too) if order else polynomial(outside_too)
        # Rounding of the samples (1e-16) is divided by step^order (6 ms), and grows outside the record.
        assert_allclose(spline(outside_too, order), expected, atol=1e-12 / 0.006**order)


@pytest.mark.parametrize("degree", DEGREES)
def test_a_natural_spline_passes_through_its_samples_and_its_high_derivatives_vanish_at_both_ends(degree):
    t, y = uneven_record(2)
    spline = natural_spline(t, y, degree)
    assert_allclose(spline(t), y, atol=1e-13)
    just_inside = t[[0, -1]] + [
        0.0,
        -1e-13,
    ]  # the last knot itself belongs to the outer piece, where they are zero by form
    for order in range((degree + 1) // 2, degree):
        size = np.abs(spline(t, order)).max()
        assert np.abs(spline(just_inside, order)).max() < 1e-6 * size  # t is 1e-13 s off


@pytest.mark.parametrize("degree", DEGREES)
def test_neighbouring_pieces_agree_in_all_but_the_highest_derivative(degree):
    t, y = uneven_record(3)
    spline = natural_spline(t, y, degree)
    before = np.nextafter(t, -np.inf)
    for order in range(degree):
        size = np.abs(spline(t, order)).max(0)
        # One rounding unit of t, and rounding of the solved derivatives divided by step^order.
        assert (np.abs(spline(before, order) - spline(t, order)).max(0) <= 1e-9 * size).all()
    assert np.abs(spline(before, degree) - spline(t, degree)).max() > 1e-3 * np.abs(spline(t, degree)).max()


@pytest.mark.parametrize("degree", DEGREES)
def test_no_curve_through_the_samples_bends_less(degree):
    """The m-th derivative is orthogonal to that of every smooth curve that vanishes at the samples, so any such
    curve, added, can only enlarge the integral of its square."""
    t, y = uneven_record(4, n=20, columns=3)
    half = (degree + 1) // 2
    spline = natural_spline(t, y, degree)
    finer = np.sort(np.concatenate((t, 0.5 * (t[1:] + t[:-1]))))
    values = np.zeros((len(finer), 3))
    values[1::2] = np.random.default_rng(5).normal(size=(19, 3))
    other = natural_spline(finer, values, degree)
    x, weight = np.polynomial.legendre.leggauss(8)  # exact for the products of two pieces
    nodes = (0.5 * np.diff(finer)[:, None] * x + 0.5 * (finer[1:] + finer[:-1])[:, None]).ravel()
    area = (0.5 * np.diff(finer)[:, None] * weight).ravel()[:, None]
    a, b = spline(nodes, half), other(nodes, half)
    assert (np.abs((area * a * b).sum(0)) < 1e-10 * np.sqrt((area * a**2).sum(0) * (area * b**2).sum(0))).all()


@pytest.mark.parametrize("degree", DEGREES)
def test_a_derivative_is_the_slope_of_the_one_below(degree):
    """Gauss' rule integrates each piece of a derivative exactly, so it must give back the differences."""
    t, y = uneven_record(5)
    spline = natural_spline(t, y, degree)
    x, weight = np.polynomial.legendre.leggauss(6)
    knots = np.concatenate(([t[0] - 0.05], t, [t[-1] + 0.05]))
    nodes = 0.5 * np.diff(knots)[:, None] * x + 0.5 * (knots[1:] + knots[:-1])[:, None]
    for order in (1, 2):
        slopes = spline(nodes.ravel(), order).reshape(*nodes.shape, -1)
        area = 0.5 * np.diff(knots)[:, None] * np.einsum("j,ijc->ic", weight, slopes)
        rise = np.diff(spline(knots, order - 1), axis=0)
        assert_columns_close(area, rise, 1e-10)


def test_scipy_finds_the_same_splines_from_b_splines():
    from scipy.interpolate import CubicSpline, make_interp_spline

    t, y = uneven_record(6)
    at = np.linspace(t[0], t[-1], 400)
    ends = [(3, np.zeros(4)), (4, np.zeros(4))]
    cubic, quintic = CubicSpline(t, y, bc_type="natural"), make_interp_spline(t, y, k=5, bc_type=(ends, ends))
    for degree, other in ((3, cubic), (5, quintic)):
        for order in range(3):
            assert_columns_close(natural_spline(t, y, degree)(at, order), other(at, order), BAR)


@pytest.mark.parametrize("degree", DEGREES)
def test_the_three_ways_to_read_a_spline_agree(degree):
    t, y = uneven_record(7)
    spline = natural_spline(t, y, degree)
    at = np.linspace(t[0], t[-1], 100)
    assert_columns_close(interpolate(t, y, at, degree), spline(at), 1e-13)
    for order, found in enumerate(derivatives_at_samples(t, y, degree), start=1):
        assert_columns_close(found, spline(t, order), 1e-12)
    assert_array_equal(rate_at_samples(t, y, degree), derivatives_at_samples(t, y, degree)[0])
    for order, found in enumerate(spline.with_derivatives(at, (0, 1, 2))):
        assert_array_equal(found, spline(at, order))


@pytest.mark.parametrize("degree", DEGREES)
def test_the_coefficients_are_the_spline(degree):
    """What a compiled caller does: find the piece, sum the powers."""
    t, y = uneven_record(8)
    spline = natural_spline(t, y, degree)
    assert spline.degree == degree
    for at in (t[0] - 0.03, t[0], 0.5 * (t[4] + t[5]), t[-1], t[-1] + 0.03):
        piece = np.searchsorted(spline.knots, at, "right")
        powers = (at - spline.starts[piece]) ** np.arange(degree + 1)
        assert_allclose(powers @ spline.coefficients[:, piece], spline(at)[0], rtol=1e-12)


@pytest.mark.parametrize("degree", DEGREES)
def test_order_of_columns_offset_origin_and_direction_of_time_do_not_matter(degree):
    t, y = uneven_record(9)
    at = np.linspace(t[0] - 0.02, t[-1] + 0.02, 150)
    spline = natural_spline(t, y, degree)
    assert_allclose(natural_spline(t, y[:, ::-1], degree)(at), spline(at)[:, ::-1], rtol=1e-12, atol=1e-12)
    assert_allclose(natural_spline(t, y[:, 1], degree)(at), spline(at)[:, 1], rtol=1e-12, atol=1e-12)
    for order in (1, 2):
        size = np.abs(spline(at, order)).max()
        lifted = natural_spline(t, y + 100.0, degree)(at, order)
        moved = natural_spline(t + 50.0, y, degree)(at + 50.0, order)
        mirrored = natural_spline(-t[::-1], y[::-1], degree)(-at, order) * (-1.0) ** order
        slow = natural_spline(7.0 * t, y, degree)(7.0 * at, order) * 7.0**order
        for other, bar in ((lifted, 1e-9), (moved, 1e-9), (mirrored, 1e-10), (slow, 1e-10)):
            assert np.abs(other - spline(at, order)).max() < bar * size  # 100 and 50 s cost two to four digits


def test_a_spline_is_safe_from_later_changes_of_its_samples():
    t, y = uneven_record(10)
    spline = natural_spline(t, y)
    at = t.copy()
    expected = spline(at)
    t += 1.0
    y += 1.0
    assert_array_equal(spline(at), expected)


# Padding and filters: laws ------------------------------------------------------------------------------------------


def test_padding_reflects_each_end_in_its_own_point():
    y = np.array([1.0, 2.0, 4.0, 8.0])
    assert_array_equal(pad_point_reflected(y, 2), [-2.0, 0.0, 1.0, 2.0, 4.0, 8.0, 12.0, 14.0])
    assert_array_equal(pad_point_reflected(y, 0), y)
    line = np.outer(np.arange(6), [1.0, -2.0])
    assert_array_equal(pad_point_reflected(line, 5), np.outer(np.arange(-5, 11), [1.0, -2.0]))


@pytest.mark.parametrize("lowpass", [lowpass_like_opensim, lowpass_zero_phase])
def test_filters_are_linear_and_treat_each_column_alone(lowpass):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 120, 3))
    together = lowpass(2.0 * a - 3.0 * b, 0.01, 6.0)
    assert_allclose(together, 2.0 * lowpass(a, 0.01, 6.0) - 3.0 * lowpass(b, 0.01, 6.0), atol=1e-13)
    assert_array_equal(lowpass(a[:, ::-1], 0.01, 6.0), lowpass(a, 0.01, 6.0)[:, ::-1])
    assert_array_equal(lowpass(a[:, 1], 0.01, 6.0), lowpass(a, 0.01, 6.0)[:, 1])
    assert_allclose(lowpass(a + 50.0, 0.01, 6.0), lowpass(a, 0.01, 6.0) + 50.0, atol=1e-11)
    assert_allclose(lowpass(a, 0.02, 3.0), lowpass(a, 0.01, 6.0), atol=1e-13)  # only cut-off times step counts


@pytest.mark.parametrize(("lowpass", "gain"), [(lowpass_like_opensim, 0.5), (lowpass_zero_phase, 0.5**0.5)])
@pytest.mark.parametrize("cutoff", [3.0, 6.0, 20.0])
def test_a_wave_at_the_cutoff_keeps_its_phase_and_the_stated_part_of_its_amplitude(lowpass, gain, cutoff):
    t = np.arange(3000) * 0.005
    middle = slice(1000, 2000)  # 5 s from either end; a whole number of periods
    wave, quarter = np.sin(2 * np.pi * cutoff * t), np.cos(2 * np.pi * cutoff * t)
    found = lowpass(wave, 0.005, cutoff)[middle]
    assert_allclose(found @ wave[middle] / 500.0, gain, rtol=1e-10)
    assert abs(found @ quarter[middle] / 500.0) < 1e-10


def test_the_default_filter_knows_no_direction_of_time_and_leaves_straight_lines_alone():
    y = np.random.default_rng(2).normal(size=(150, 3)).cumsum(0)
    backward = lowpass_zero_phase(y[::-1], 0.01, 6.0)[::-1]
    assert_allclose(backward, lowpass_zero_phase(y, 0.01, 6.0), atol=1e-8)  # the start of a pass is forgotten to 2e-10
    line = 3.0 - 2.0 * np.arange(60) * 0.01
    assert_allclose(lowpass_zero_phase(line, 0.01, 6.0), line, atol=1e-9)


def test_the_default_filter_is_scipys_second_order_butterworth_run_both_ways():
    from math import atan, ceil, pi, tan

    from scipy.signal import butter, sosfiltfilt

    y = np.random.default_rng(3).normal(size=(200, 3)).cumsum(0)
    single_pass = atan(tan(pi * 6.0 * 0.01) / (2.0**0.5 - 1.0) ** 0.25) / (pi * 0.01)
    sections = butter(2, single_pass, fs=100.0, output="sos")
    expected = sosfiltfilt(sections, y, axis=0, padlen=ceil(4.0 / (6.0 * 0.01)))
    assert_allclose(lowpass_zero_phase(y, 0.01, 6.0), expected, atol=1e-11)


def test_opensims_filter_is_the_written_recursion():
    """Third-order Butterworth by scipy's design, applied sample by sample with the first three values copied."""
    from scipy.signal import butter

    y = np.random.default_rng(4).normal(size=50).cumsum()
    b, a = butter(3, 6.0, fs=60.0)

    def one_pass(x):
        out = x.copy()
        for i in range(3, len(x)):
            out[i] = b @ x[i - 3 : i + 1][::-1] - a[1:] @ out[i - 3 : i][::-1]
        return out

    assert_allclose(lowpass_like_opensim(y, 1.0 / 60.0, 6.0), one_pass(one_pass(y)[::-1])[::-1], atol=1e-12)


# Resampling: rules --------------------------------------------------------------------------------------------------


def test_opensim_leaves_exactly_uniform_rows_and_resamples_rounded_times_at_the_smallest_step():
    exact = np.arange(50) / 64.0  # steps without rounding error
    values = np.sin(exact)
    record = resample_like_opensim(exact, values)
    assert not record.interpolated and record.step == 1.0 / 64.0
    assert_array_equal(record.values, values)

    rounded = np.round(0.4 + np.arange(61) / 60.0, 3)
    record = resample_like_opensim(rounded, np.sin(rounded))
    assert record.interpolated and record.time[0] == 0.4 and record.time[-1] <= 1.4
    assert_allclose(np.diff(record.time), 0.016, atol=1e-12)
    assert_allclose(record.values, np.sin(record.time), atol=1e-8)  # the spline's own error on a slow wave


def test_opensim_resamples_over_one_rounding_unit_and_never_to_more_than_100_000_steps():
    """Rows counted by OpenSim 4.6 for the same times; the peer test below asks it again."""
    hundredths = np.round(np.arange(1001) / 100.0, 2)
    short, long = pad_point_reflected(hundredths[:151], 75), pad_point_reflected(hundredths, 500)
    assert not resample_like_opensim(short, short).interpolated
    record = resample_like_opensim(long, long)
    assert len(record.time) == len(long)
    assert record.interpolated and 0.01 - 1e-14 < record.step < 0.01
    padded = pad_point_reflected(np.sort(np.append(hundredths[:60], 0.300005)), 30)
    assert len(resample_like_opensim(padded, padded).time) == 100_000  # without the limit 236,001


def test_times_that_a_clock_gave_keep_their_values_and_others_lie_on_a_spline():
    rounded = np.round(0.4 + np.arange(61) / 60.0, 3)
    y = np.random.default_rng(5).normal(size=(61, 2))
    record = uniform_grid(rounded, y)
    assert not record.interpolated
    assert_array_equal(record.values, y)
    assert_allclose(record.step, 1.0 / 60.0, rtol=1e-4)
    assert np.abs(record.time - rounded).max() < 0.6e-3

    t, y = uneven_record(6)
    record = uniform_grid(t, y)
    assert record.interpolated and record.time[0] == t[0] and record.time[-1] == t[-1]
    assert record.step <= np.median(np.diff(t)) * (1 + 1e-9)
    assert_allclose(np.diff(record.time), record.step, rtol=1e-10)
    assert_allclose(record.values, natural_spline(t, y)(record.time), atol=1e-11)


# Recipes ------------------------------------------------------------------------------------------------------------


def smooth_motion(t):
    """Three coordinates of at most 2.5 Hz with their exact rates."""
    w, p = 2 * np.pi * np.array([0.7, 1.3, 2.5]), np.array([0.2, 1.0, 2.0])
    a = np.array([0.8, 0.3, 0.1])
    angle = t[:, None] * w + p
    return a * np.sin(angle), a * w * np.cos(angle), -a * w**2 * np.sin(angle)


@pytest.mark.parametrize("step", [0.01, 1.0 / 60.0])
def test_the_default_recipe_gives_the_rates_of_a_known_motion(step):
    t = np.arange(int(3.0 / step)) * step
    q, qd, qdd = smooth_motion(t)
    motion = prepare_motion(t, q, cutoff=20.0)
    inside = (t > 0.3) & (t < t[-1] - 0.3)
    # A 20 Hz filter keeps 1 - (f/fc)^4 / 2 sqrt-law of a 2.5 Hz wave: 5e-5 lost; nothing else is larger.
    for found, expected in ((motion.q, q), (motion.qd, qd), (motion.qdd, qdd)):
        assert_columns_close(found[inside], expected[inside], 3e-4)
    assert_array_equal(motion.time, t)
    assert motion.measured.all()
    raw = prepare_motion(t, q, cutoff=None)
    assert_columns_close(raw.qdd[inside], qdd[inside], 1e-4)
    assert_allclose(raw.q, q, atol=1e-14)


def test_the_default_recipe_hardly_notices_that_times_were_rounded():
    """Rounding times to 1 ms must not become noise of the accelerations, as it does in a spline through those times."""
    exact = np.arange(180) / 60.0
    q, _, _ = smooth_motion(exact)
    rounded = np.round(exact, 3)
    frames = np.linspace(0.3, 2.6, 200)
    found = prepare_motion(rounded, q, cutoff=None, frames=frames).qdd
    filtered = prepare_motion(rounded, q, cutoff=20.0, frames=frames).qdd
    expected = smooth_motion(frames)[2]
    assert_columns_close(filtered, expected, 2e-3)
    assert np.abs(found - expected).max() > 20 * np.abs(filtered - expected).max()


def test_the_default_recipe_reads_any_frames_in_the_record_and_rates_belong_to_the_values():
    t = np.arange(200) * 0.01
    q, _, _ = smooth_motion(t)
    frames = np.linspace(0.2, 1.8, 4001)  # 0.4 ms apart
    motion = prepare_motion(t, q, 6.0, frames)
    assert_columns_close(np.gradient(motion.q, frames, axis=0)[1:-1], motion.qd[1:-1], 2e-5)  # (w dt)^2 / 6
    assert_columns_close(np.gradient(motion.qd, frames, axis=0)[1:-1], motion.qdd[1:-1], 2e-5)
    at_rows = prepare_motion(t, q, 6.0, t[50:60])
    assert_allclose(at_rows.qdd, prepare_motion(t, q, 6.0).qdd[50:60], rtol=1e-12, atol=1e-12)


def test_recipes_agree_where_the_motion_is_slow_and_the_ends_are_far():
    t = np.arange(300) * 0.01
    q, _, _ = smooth_motion(t)
    ours = prepare_motion(t, q, 20.0)
    middle = (t > 0.5) & (t < 2.5)
    for recipe in (prepare_like_opensim_inverse_dynamics, prepare_like_opensim_analyze):
        theirs = recipe(t, q, 20.0)
        spline = natural_spline(theirs.time, theirs.qdd)
        assert_columns_close(spline(t[middle]), ours.qdd[middle], 1e-3)


@pytest.mark.parametrize("off", [None, -1.0])
def test_without_a_filter_opensims_rows_are_the_recorded_ones(off):
    t, q = uneven_record(11)
    dynamics = prepare_like_opensim_inverse_dynamics(t, q, off)
    assert_array_equal(dynamics.time, t)
    assert_array_equal(dynamics.q, q)
    spline = natural_spline(t, q)
    assert_columns_close(dynamics.qdd, spline(t, 2), 1e-12)
    analysis = prepare_like_opensim_analyze(t, q, off)
    assert_columns_close(analysis.qd, spline(t, 1), 1e-12)
    assert_columns_close(analysis.qdd, natural_spline(t, spline(t, 1))(t, 1), 1e-11)
    assert dynamics.measured.all() and analysis.measured.all()


def test_a_window_runs_from_the_last_row_at_or_before_its_start_to_the_last_at_or_before_its_end():
    t = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
    for window, rows in {
        (0.1, 0.3): (1, 4),
        (0.15, 0.35): (1, 4),
        (0.0999, 0.3001): (0, 4),
        (-5.0, 0.0): (0, 1),
        (0.25, 0.29): (2, 3),
        (-np.inf, np.inf): (0, 5),
        (0.4, 9.0): (4, 5),
    }.items():
        assert rows_like_opensim(t, window) == slice(*rows)
    assert rows_like_opensim(t, None) == slice(0, 5)


def test_rows_outside_the_recording_are_marked():
    t = np.round(0.5 + np.arange(61) / 60.0, 3)
    q = np.sin(3.0 * t)[:, None]
    motion = prepare_like_opensim_inverse_dynamics(t, q, 6.0, (0.5, 1.4))
    assert motion.time[0] < 0.5 and not motion.measured[0] and motion.measured[1:].all()
    whole = prepare_like_opensim_inverse_dynamics(t, q, 6.0)
    assert_array_equal(whole.measured, (whole.time >= 0.5) & (whole.time <= 1.5))


def test_one_record_serves_both_tools():
    t, q = uneven_record(12)
    record, window = record_like_opensim(t, q, 6.0), (0.4, 0.7)
    for rows, recipe in (
        (inverse_dynamics_rows, prepare_like_opensim_inverse_dynamics),
        (analyze_rows, prepare_like_opensim_analyze),
    ):
        shared_way, own_way = rows(record, window), recipe(t, q, 6.0, window)
        for name in ("time", "q", "qd", "qdd", "measured"):
            assert_array_equal(getattr(shared_way, name), getattr(own_way, name))


@pytest.mark.parametrize("recipe", RECIPES)
def test_degrees_or_radians_and_the_order_of_columns_do_not_matter(recipe):
    t = np.round(np.arange(61) / 60.0, 3)
    q = np.random.default_rng(13).normal(size=(61, 3)).cumsum(0)
    plain, degrees, turned = recipe(t, q, 6.0), recipe(t, np.rad2deg(q), 6.0), recipe(t, q[:, ::-1], 6.0)
    for name in ("q", "qd", "qdd"):
        assert_columns_close(np.deg2rad(getattr(degrees, name)), getattr(plain, name), 1e-10)
        assert_columns_close(getattr(turned, name)[:, ::-1], getattr(plain, name), 1e-10)


# Golden data --------------------------------------------------------------------------------------------------------


def test_a_short_record_is_filtered_as_opensim_4_6_does():
    """Recipe: a Storage of these rows, `pad(7)`, `lowpassIIR(6)`, all in opensim 4.6 (build 2026-06-22)."""
    t = np.round(0.2 + np.arange(14) / 60.0, 3)
    y = [0.692, 0.68, 0.617, 0.513, 0.396, 0.3, 0.233, 0.215, 0.238, 0.29, 0.345, 0.376, 0.365, 0.298]
    record = record_like_opensim(t, np.array(y)[:, None], 6.0)
    assert len(record.time) == 29
    assert_allclose(record.time[[0, 1, -1]], [0.083, 0.09899999999999998, 0.5309999999999988], rtol=0, atol=1e-16)
    expected = [
        1.055370782295066, 1.0203829596869194, 0.9840215965979278, 0.942736581352538, 0.8946939030522543,
        0.8408918446159435, 0.7832818045292449, 0.7225372991570989, 0.6574563387192541, 0.5864636510786687,
        0.5100825336686922, 0.4325709250727706, 0.361522400095101, 0.3055064284527375, 0.27086489950663284,
        0.2591352401140898, 0.2662500952194794, 0.2839003158258298, 0.3025467267731444, 0.3148432155419628,
        0.31796394809425743, 0.3137059169994719, 0.3062866398472323, 0.29910458844762344, 0.29256036727114726,
        0.28464494916879635, 0.27451561206809777, 0.2675735225779197, 0.2795224122875868,
    ]  # fmt: skip
    assert_allclose(record.q[:, 0], expected, atol=1e-13)


@pytest.mark.parametrize("name", ["uniform", "rounded60Hz"])
def test_padding_resampling_filter_and_splines_are_opensims(shared, name):
    golden = np.load(shared / "opensim" / "features" / f"signal_{name}.npz")
    t, y = golden["time"], golden["data"]
    assert_array_equal(pad_point_reflected(t, len(t) // 2), golden["time_padded"])
    for cutoff in (6, 15):
        record = record_like_opensim(t, y, float(cutoff))
        assert_array_equal(record.time, golden[f"time_filtered_{cutoff}Hz"])
        assert_columns_close(record.q, golden[f"filtered_{cutoff}Hz"], BAR)
        spline = natural_spline(record.time, record.q)
        for order, found in enumerate(spline.with_derivatives(golden[f"eval_time_{cutoff}Hz"])):
            assert_columns_close(found, golden[f"spline5_d{order}_{cutoff}Hz"], BAR)
    outside = golden["raw_eval_time"]
    assert outside[0] < t[0] and outside[-1] > t[-1]  # so the continuation beyond the ends is compared too
    for degree in (3, 5):
        for order, found in enumerate(natural_spline(t, y, degree).with_derivatives(outside)):
            assert_columns_close(found, golden[f"raw_spline{degree}_d{order}"], BAR)


def read_table(path) -> tuple[list[str], np.ndarray]:
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == "endheader") + 1
    return lines[start].split(), np.array([line.split() for line in lines[start + 1 :] if line.strip()], dtype=float)


CASES = {
    "gait2392": ((0.5, 2.0), (0.6, 1.85)),
    "gait2354": ((0.4, 1.6), (0.4, 1.6)),
    "gait10dof": ((0.0, 2.5), (0.6, 1.9)),
}


@pytest.mark.parametrize("case", CASES)
def test_opensims_tools_see_the_same_rows_coordinates_and_speeds(shared, case):
    """Both sides start from the 8 decimals (degrees) of ik.mot, so these cost nothing: the bar stays at 1e-9.

    Columns that hardly move (1e-5 rad) end in rounding, 1e-15 rad; a floor of 1e-6 rad on the peak keeps the bar
    meaningful for a column that does not move at all.
    """
    results = shared / "opensim" / case / "results"
    names, motion = read_table(results / "ik.mot")
    translations = [name.rsplit("_", 1)[-1] in {"tx", "ty", "tz"} for name in names[1:]]
    q = np.where(translations, motion[:, 1:], np.deg2rad(motion[:, 1:]))
    labels, states = read_table(results / "states_padded.sto")
    paths = [label.split("/") for label in labels]
    value = [i for i, path in enumerate(paths) if path[-1] == "value"]
    speed = [i for i, path in enumerate(paths) if path[-1] == "speed"]
    columns = [names.index(paths[i][-2]) - 1 for i in value]
    assert columns == [names.index(paths[i][-2]) - 1 for i in speed]

    seen = prepare_like_opensim_analyze(motion[:, 0], q, 6.0)
    assert_allclose(seen.time, states[:, 0], rtol=0, atol=1e-15)  # 16 printed digits
    assert_columns_close(seen.q[:, columns], states[:, value], BAR, floor=1e-6)
    assert_columns_close(seen.qd[:, columns], states[:, speed], BAR, floor=1e-5)

    dynamics_window, optimisation_window = CASES[case]
    _, moments = read_table(results / "id.sto")
    dynamics = prepare_like_opensim_inverse_dynamics(motion[:, 0], q, 6.0, dynamics_window)
    assert_allclose(
        dynamics.time, moments[:, 0], rtol=0, atol=0.51e-8
    )  # 8 printed decimals; also compares the row count
    _, forces = read_table(results / "so_force.sto")
    optimisation = prepare_like_opensim_analyze(motion[:, 0], q, 6.0, optimisation_window)
    assert_allclose(optimisation.time, forces[:, 0], rtol=0, atol=1e-15)


PEER = """
import json, sys
import opensim
opensim.Logger.setLevelString("Off")
answers = []
for t, y in json.load(sys.stdin):
    storage, labels = opensim.Storage(), opensim.ArrayStr()
    for label in ("time", "y"):
        labels.append(label)
    storage.setColumnLabels(labels)
    for time, value in zip(t, y):
        storage.append(opensim.StateVector(time, opensim.Vector(1, value)))
    storage.pad(len(t) // 2)
    storage.lowpassIIR(6.0)
    rows = [storage.getStateVector(i) for i in range(storage.getSize())]
    answers.append([[row.getTime() for row in rows], [row.getData().get(0) for row in rows]])
print(json.dumps(answers))
"""


@pytest.mark.peer
@pytest.mark.skipif(importlib.util.find_spec("opensim") is None, reason="opensim is not installed")
def test_opensim_keeps_the_same_rows_whatever_the_times():
    """Decimal times, computed times, jitter, one tiny step (100,000 rows): the number of rows hangs on the last bit."""
    rng = np.random.default_rng(14)
    hundredths = np.round(np.arange(1001) / 100.0, 2)
    grids = [
        hundredths,
        hundredths[:151],
        np.round(0.3 + np.arange(201) / 200.0, 3),
        np.round(1.1 + np.arange(120) / 120.0, 8),
        np.arange(101) * 0.004,
        np.cumsum(rng.uniform(0.006, 0.012, 100)),
        np.sort(np.append(hundredths[:60], 0.300005)),
    ]
    records = [(t, np.sin(3.0 * t) + 0.1 * rng.normal(size=len(t))) for t in grids]
    question = json.dumps([[t.tolist(), y.tolist()] for t, y in records])
    run = subprocess.run([sys.executable, "-c", PEER], input=question, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    for (t, y), (their_time, theirs) in zip(records, json.loads(run.stdout.splitlines()[-1]), strict=True):
        record = record_like_opensim(t, y[:, None], 6.0)
        assert_array_equal(record.time, their_time)
        # At 85 kHz the gain of OpenSim's recursion, (pi 6 Hz / 85 kHz)^3 = 1e-11, amplifies rounding to 1e-5 in both.
        assert np.abs(record.q[:, 0] - theirs).max() < (1e-5 if len(record.time) > 1e4 else BAR)


# Refusals -----------------------------------------------------------------------------------------------------------

TIME, VALUES = np.arange(20) * 0.01, np.ones((20, 2))


def with_value(array, where, value):
    changed = array.copy()
    changed[where] = value
    return changed


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(
    ("time", "q", "cutoff", "message"),
    [
        (
            TIME,
            with_value(VALUES, (7, 1), np.nan),
            6.0,
            r"row 7, column 1 .*0\.07 s.* is not a finite number; fill",
        ),
        (TIME, with_value(VALUES, (7, 1), np.inf), None, "row 7, column 1 .* not a finite number"),
        (with_value(TIME, 3, np.nan), VALUES, 6.0, "time of row 3 .* not a finite number"),
        (with_value(TIME, 3, 0.02), VALUES, 6.0, r"Time does not increase at row 3 .*0\.02 s is followed by 0\.02 s"),
        (TIME[:5], VALUES[:5], 6.0, "5 rows are too few .* at least 6"),
        (TIME, VALUES[:-1], 6.0, "one time per row of values was expected"),
        (TIME, VALUES, 50.5, r"cut-off of 50\.5 Hz needs samples faster than 101 Hz, but these come at 100 Hz"),
        (TIME, VALUES, 0.0, "cut-off of 0 Hz cannot be used"),
        (TIME, VALUES, np.nan, "cut-off of nan Hz cannot be used"),
    ],
)
def test_recipes_refuse_faulty_records(recipe, time, q, cutoff, message):
    with pytest.raises(DataError, match=message):
        recipe(time, q, cutoff)


def test_refusals_of_the_default_recipe():
    with pytest.raises(DataError, match=r"frame at 0\.5 s was asked for, but the motion runs from 0 s to 0\.19 s"):
        prepare_motion(TIME, VALUES, 6.0, frames=[0.1, 0.5])
    with pytest.raises(DataError, match="frame at nan s"):
        prepare_motion(TIME, VALUES, 6.0, frames=[np.nan])
    with pytest.raises(DataError, match="cut-off of -1 Hz cannot be used"):
        prepare_motion(TIME, VALUES, -1.0)
    hole = np.concatenate((TIME, TIME + 0.4))
    with pytest.raises(DataError, match=r"Between 0\.19 s and 0\.4 s nothing was recorded for 0\.21 s"):
        prepare_motion(hole, np.ones((40, 1)), 6.0)


def test_refusals_of_windows():
    for window, message in (
        ((1.0, 0.5), "ends before it starts"),
        ((np.nan, 0.5), "ends before it starts"),
        ((5.0, 6.0), r"does not touch the motion, which runs from 0 s to 0\.19 s"),
        ((-6.0, -5.0), "does not touch the motion"),
    ):
        with pytest.raises(DataError, match=message):
            rows_like_opensim(TIME, window)


def test_refusals_of_the_parts():
    with pytest.raises(DataError, match="degree 3, 5 or 7, not 4"):
        natural_spline(TIME, VALUES, 4)
    with pytest.raises(DataError, match="3 rows are too few for a spline of degree 3: at least 4"):
        natural_spline(TIME[:3], VALUES[:3], 3)
    with pytest.raises(DataError, match="times that are not finite numbers"):
        natural_spline(TIME, VALUES)([0.1, np.nan])
    with pytest.raises(DataError, match=r"wanted outside the samples, which run from 0 s to 0\.19 s"):
        interpolate(TIME, VALUES, [0.2])
    with pytest.raises(DataError, match=r"continued by 20 reflected rows .* between 0 and 19"):
        pad_point_reflected(VALUES, 20)
    for lowpass in (lowpass_like_opensim, lowpass_zero_phase):
        with pytest.raises(DataError, match="3 samples are too few to filter: at least 4"):
            lowpass(VALUES[:3], 0.01, 6.0)
        with pytest.raises(DataError, match=r"Row 2 .* fill the gap before filtering"):
            lowpass(with_value(VALUES, (2, 0), np.nan), 0.01, 6.0)
        with pytest.raises(DataError, match=r"50 Hz, is the limit"):
            lowpass(VALUES, 0.01, 50.0)
    with pytest.raises(ValueError, match="derivative -1"):
        natural_spline(TIME, VALUES)(TIME, derivative=-1)
