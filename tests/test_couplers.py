"""Coordinates that follow others: values, slopes and rates, chains, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from hipspine.errors import ModelError, UnsupportedFeature
from hipspine.formats.osim import read_model
from hipspine.mechanics.couplers import (
    assemble,
    assemble_motion,
    coupling_matrix,
    coupling_rate,
    coupling_slopes,
    flatten_couplers,
    where_within,
)
from hipspine.model.functions import Linear, Polynomial, SimmSpline
from hipspine.model.records import Body, Coordinate, Coupler, Frame, Joint, Model, TransformAxis

SPLINE = SimmSpline((-1.0, -0.4, 0.1, 0.7, 1.2), (0.3, -0.1, 0.2, 0.9, 0.4))


def chain_model(*couplers: Coupler, names: tuple[str, ...] = ("a", "b", "c", "d"), **of_c) -> Model:
    """Bodies hinged one on the other about tilted axes; the coordinates are called `names`."""
    bodies, joints = [], []
    for i, name in enumerate(names):
        bodies.append(Body(f"body_{name}", 1.0, (0.0, -0.1, 0.0), (0.01, 0.01, 0.01, 0.0, 0.0, 0.0)))
        parent = Frame(f"body_{names[i - 1]}", (0.01, -0.3, 0.02)) if i else Frame("ground")
        extra = of_c if name == "c" else {}
        joints.append(
            Joint(
                f"joint_{name}",
                "PinJoint",
                parent,
                Frame(f"body_{name}"),
                (Coordinate(name, "rotational", **extra),),
                rotations=(TransformAxis((0.3, 0.1 * i, 1.0), name, Linear()),),
            )
        )
    return Model("chain", tuple(bodies), tuple(joints), couplers=couplers)


# c follows b follows a: the file lists them in the wrong order on purpose.
CHAIN = (Coupler("second", "c", "b", SPLINE, scale=-1.5), Coupler("first", "b", "a", Polynomial((0.4, -0.3, 0.2))))


def test_a_chain_is_the_composition_of_its_functions():
    couplers = flatten_couplers(chain_model(*CHAIN))
    a = np.linspace(-1, 1, 7)
    q = assemble(couplers, np.column_stack([a, a * np.nan, a * np.nan, a**2]))
    b = 0.4 * a**2 - 0.3 * a + 0.2
    assert_allclose(q[:, 1], b, rtol=0, atol=1e-15)
    assert_allclose(q[:, 2], -1.5 * SPLINE.pieces().evaluate(b), rtol=0, atol=1e-15)
    assert_allclose(q[:, [0, 3]], np.column_stack([a, a**2]))
    assert couplers.free.tolist() == [0, 3]
    assert couplers.leader.tolist() == [0, 0, 0, 3]


def test_slopes_are_the_derivatives_of_the_assembled_values():
    couplers = flatten_couplers(chain_model(*CHAIN))
    h = 1e-4
    q = np.zeros((1, 4))
    q[0, 0] = 0.37
    at = [assemble(couplers, q + shift * np.array([h, 0, 0, 0])) for shift in (-1, 0, 1)]
    slope, bend = coupling_slopes(couplers, at[1])
    # Central differences err by h² times the third derivative (of order 10).
    assert_allclose(slope[0, :3], ((at[2] - at[0]) / (2 * h))[0, :3], atol=1e-6)
    assert_allclose(bend[0, :3], ((at[2] - 2 * at[1] + at[0]) / h**2)[0, :3], atol=1e-6)


def test_speeds_and_accelerations_are_those_of_the_values_in_time():
    couplers = flatten_couplers(chain_model(*CHAIN))
    h = 1e-4
    time = np.array([-h, 0.0, h]) + 0.3
    q = np.column_stack([np.sin(2 * time), time * 0, time * 0, np.cos(time)])
    q, qd, qdd = assemble_motion(
        couplers,
        q,
        np.column_stack([2 * np.cos(2 * time), time * 0, time * 0, -np.sin(time)]),
        np.column_stack([-4 * np.sin(2 * time), time * 0, time * 0, -np.cos(time)]),
    )
    assert_allclose(qd[1], (q[2] - q[0]) / (2 * h), atol=1e-6)
    assert_allclose(qdd[1], (q[2] - 2 * q[1] + q[0]) / h**2, atol=1e-5)  # rounding: 1e-16 / h²
    C = coupling_matrix(couplers, q)
    rate = coupling_rate(couplers, q, qd)
    assert_allclose(np.einsum("tcf,tf->tc", C, qd[:, couplers.free]), qd, atol=1e-14)
    acceleration = np.einsum("tcf,tf->tc", C, qdd[:, couplers.free]) + np.einsum(
        "tcf,tf->tc", rate, qd[:, couplers.free]
    )
    assert_allclose(acceleration, qdd, atol=1e-13)


def test_without_couplers_everything_leads_itself():
    couplers = flatten_couplers(chain_model())
    assert_allclose(coupling_matrix(couplers, np.zeros((2, 4))), np.tile(np.eye(4), (2, 1, 1)))


def test_a_coupler_that_is_switched_off_does_nothing():
    off = replace(CHAIN[0], enforced=False)
    assert flatten_couplers(chain_model(off, CHAIN[1])).dependent.tolist() == [1]


def test_assembled_poses_are_opensims(shared):
    """OpenSim stored its poses after assembling them."""
    model = read_model(shared / "opensim/features/coupler_simmspline.osim")
    data = np.load(shared / "opensim/features/coupler_simmspline.npz")
    couplers = flatten_couplers(model)
    names = [str(name) for name in data["coordinates"]]
    order = [names.index(name) for name in model.coordinate_names]
    q = data["q"][:, order]
    # OpenSim assembles to its own tolerance, 1e-10 in these poses.
    assert_allclose(assemble(couplers, q), q, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("couplers", "message"),
    [
        ((Coupler("x", "b", "nowhere", Linear()),), "'nowhere', which the model does not have"),
        ((Coupler("x", "b", "a", Linear()), Coupler("y", "b", "c", Linear())), "'x' and 'y' both set coordinate 'b'"),
        (
            (Coupler("x", "b", "a", Linear()), Coupler("y", "a", "c", Linear()), Coupler("z", "c", "b", Linear())),
            "chase each other in a loop: b -> a -> c -> b",
        ),
        ((Coupler("x", "b", "b", Linear()),), "loop: b -> b"),
    ],
)
def test_impossible_couplers_are_refused_by_name(couplers, message):
    with pytest.raises(ModelError, match=message):
        flatten_couplers(chain_model(*couplers))


def test_other_constraints_are_refused():
    model = replace(chain_model(), unsupported_constraints=("PointConstraint 'tie'",))
    with pytest.raises(UnsupportedFeature, match="PointConstraint 'tie'"):
        flatten_couplers(model)


def test_the_interval_where_a_function_stays_within_a_range():
    parabola = Polynomial((1.0, 0.0, 0.0)).pieces()
    assert_allclose(where_within(parabola, 0.25, 4.0, near=1.0), (0.5, 2.0), atol=1e-12)
    assert_allclose(where_within(parabola, 0.25, 4.0, near=-0.1), (-2.0, -0.5), atol=1e-12)
    assert_allclose(where_within(parabola, -1.0, 4.0, near=9.0), (-2.0, 2.0), atol=1e-12)
    assert where_within(parabola, -np.inf, np.inf, near=0.0) == (-np.inf, np.inf)
    assert np.isnan(where_within(parabola, -2.0, -1.0, near=0.0)[0])
    low, high = where_within(SPLINE.pieces(), 0.0, 0.6, near=0.2)
    assert_allclose(SPLINE.pieces().evaluate(np.array([low, high])), [0.0, 0.6], atol=1e-12)
    inside = SPLINE.pieces().evaluate(np.linspace(low, high, 50))
    assert inside.min() >= -1e-12
    assert inside.max() <= 0.6 + 1e-12
