"""Readers and writers of recorded movement: one contract for all, then the traps and refusals of each format."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from hipspine.errors import DataError, FileFormatError, HipspineError, UnitError, UnknownName, UnsupportedFeature
from hipspine.formats.axes import forward_axis, rotation_to_ground, to_ground, up_axis
from hipspine.formats.c3d import read_c3d
from hipspine.formats.csv_table import read_csv, read_csv_markers, read_csv_motion, write_csv
from hipspine.formats.marker_names import gait_markers, landmark_of, match_markers, read_marker_map, swapped_side
from hipspine.formats.plate_file import plates_from_table, read_forces, table_from_plates
from hipspine.formats.sto import Table, read_table, write_table
from hipspine.formats.trc import read_trc, write_trc
from hipspine.formats.trial import read_trial
from hipspine.motion.plates import plate_from_point, plate_from_wrench
from hipspine.motion.records import Markers, Motion, PlateForces, Trial
from hipspine.motion.rotate import turn_trial
from hipspine.units import parse_unit, si_factor
from tests.c3d_files import FRAMES, RATE, person, write_c3d


def walker() -> Markers:
    paths = person(FRAMES, scale=1.0)
    position = np.stack(list(paths.values()), axis=1)
    position[3:6, 2] = np.nan
    return Markers(tuple(paths), np.arange(FRAMES) / RATE, position, RATE)


def csv_markers(path, markers: Markers):
    lines = ["# units: mm", ",".join(["time"] + [f"{name}_{axis}" for name in markers.names for axis in "xyz"])]
    for t, row in zip(markers.time, 1e3 * markers.position_G.reshape(len(markers), -1), strict=True):
        lines.append(",".join([f"{t:.6f}"] + ["" if np.isnan(one) else f"{one:.6f}" for one in row]))
    path.write_text("\n".join(lines))
    return path


def c3d_markers(path, markers: Markers):
    points = {name: 1e3 * np.nan_to_num(markers.path(name)) for name in markers.names}
    return write_c3d(path, points=points)


READERS = {
    "trc mm": ("a.trc", lambda path, m: write_trc(path, m, "mm"), read_trc, 1e-8),
    "trc m": ("a.trc", lambda path, m: write_trc(path, m, "m", digits=9), read_trc, 1e-8),
    "csv": ("a.csv", csv_markers, read_csv_markers, 1e-8),
    "c3d": ("a.c3d", c3d_markers, read_c3d, 1e-6),  # 32-bit floats
}


@pytest.mark.parametrize("kind", READERS)
def test_every_marker_reader_keeps_one_contract(tmp_path, kind):
    """SI, increasing time, names kept in order, gaps kept, arrays that cannot be written, a digest of the source."""
    name, write, read, tolerance = READERS[kind]
    markers = walker()
    path = write(tmp_path / name, markers)
    trial = read(path)
    assert trial.markers.names == markers.names
    assert_allclose(trial.markers.time, markers.time, atol=1e-6)
    assert_allclose(trial.markers.position_G, markers.position_G, atol=tolerance)
    assert_array_equal(trial.markers.missing, markers.missing)
    assert trial.markers.rate == pytest.approx(RATE, rel=1e-6)
    assert (np.diff(trial.markers.time) > 0).all()
    with pytest.raises(ValueError, match="read-only"):
        trial.markers.position_G[0] = 0
    assert trial.sources[0][0] == path.name and len(trial.sources[0][1]) == 64
    with pytest.raises(FileFormatError, match="does not exist"):
        read(tmp_path / f"none{path.suffix}")
    path.write_bytes(b"")
    with pytest.raises(FileFormatError):
        read(path)


@pytest.mark.parametrize("kind", READERS)
def test_no_marker_reader_leaks_a_traceback_on_a_file_cut_anywhere(tmp_path, kind):
    name, write, read, _ = READERS[kind]
    path = write(tmp_path / name, walker())
    whole, complete = path.read_bytes(), read(path)
    for share in (0.02, 0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        try:
            cut = read(path)
        except HipspineError as error:
            assert path.name in str(error)
        else:
            if kind != "csv":  # a CSV does not announce its length; a C3D ends in padding that carries nothing
                assert_array_equal(cut.markers.position_G, complete.markers.position_G)


TABLES = {"sto": (".sto", read_table), "mot": (".mot", read_table), "csv": (".csv", read_csv)}


@pytest.mark.parametrize("kind", TABLES)
@settings(max_examples=25, deadline=None)
@given(data=arrays(float, (4, 3), elements=st.floats(-1e12, 1e12)), degrees=st.booleans())
def test_tables_come_back_exactly(tmp_path_factory, kind, data, degrees):
    """Seventeen significant digits give every double back."""
    suffix, read = TABLES[kind]
    path = tmp_path_factory.mktemp("t") / f"a{suffix}"
    table = Table(("a", "b_moment", "c/d"), np.array([0.0, 0.1, 0.25, 1.0]), data, degrees, "walk")
    if kind == "csv":
        write_csv(path, table)
    else:
        write_table(path, table, 17, significant=True)
    back = read(path)
    assert back.labels == table.labels and back.in_degrees == degrees
    assert_array_equal(back.data, table.data)
    assert_array_equal(back.time, table.time)


def test_written_table_has_the_header_opensim_reads(tmp_path):
    path = write_table(tmp_path / "a.sto", Table(("x", "y"), [0.0, 0.5], [[1, 2], [3, 4]], True, "Coordinates"))
    lines = path.read_text().splitlines()
    assert lines[:7] == [
        "Coordinates",
        "version=1",
        "nRows=2",
        "nColumns=3",
        "inDegrees=yes",
        "endheader",
        "time\tx\ty",
    ]
    assert lines[7] == "0.00000000\t1.00000000\t2.00000000"
    assert not list(tmp_path.glob("*.part"))


def test_degrees_become_radians_for_the_named_columns_once(tmp_path):
    table = Table(("hip", "pelvis_tx"), [0.0, 1.0], [[90, 1], [180, 2]], True)
    turned = table.in_radians(["hip"])
    assert_allclose(turned.data, [[np.pi / 2, 1], [np.pi, 2]])
    assert turned.in_radians(["hip"]) is turned  # nothing left to convert


def test_tables_of_opensim_4_with_keys_first_are_read(tmp_path):
    path = tmp_path / "a.sto"
    path.write_text(
        "inDegrees=no\nname=reactions\nDataType=double\nversion=3\nOpenSimVersion=4.6\nendheader\ntime\tx\n0\t1\n"
    )
    assert read_table(path).name == "reactions"


HEAD = "walk\nversion=1\nnRows=3\nnColumns=3\ninDegrees=no\nendheader\ntime\ta\tb\n"


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        (HEAD + "0\t1\t2\n1\t3\n2\t5\t6\n", FileFormatError, "line 9: 2 values, expected 3"),
        (HEAD + "0\t1\t2\n1\t3\t4\n2\t5", FileFormatError, "line 10.*cut off"),
        (HEAD + "0\t1\t2\n1\t3\t4\n", FileFormatError, "announces nrows=3, but 2"),
        (HEAD + "0\t1\t2\n1\tx\t4\n2\t5\t6\n", FileFormatError, "line 9, column 2: 'x' is not a number"),
        (HEAD + "0\t1\t2\n2\t3\t4\n1\t5\t6\n", DataError, "from 2 to 1 s at line 10"),
        (HEAD + "0\t1\t2\n0\t3\t4\n1\t5\t6\n", DataError, "from 0 to 0 s at line 9"),
        (HEAD + "0\t1\t2\n\n1\t3\t4\n2\t5\t6\n", FileFormatError, "line 9: an empty line"),
        (HEAD.replace("\tb\n", "\ta\n") + "0\t1\t2\n", FileFormatError, "columns 2 and 3 are both called 'a'"),
        (HEAD.replace("endheader\n", ""), FileFormatError, "no 'endheader' line"),
        (HEAD.replace("time", "zeit") + "0\t1\t2\n", FileFormatError, "first column is 'zeit'"),
        (HEAD.replace("inDegrees=no", "inDegrees=maybe"), FileFormatError, "expected yes or no"),
        (HEAD.replace("version=1", "DataType=Vec3") + "0\t1\t2\n", UnsupportedFeature, "cells of type Vec3"),
        (HEAD, FileFormatError, "no rows"),
        ("  \n", FileFormatError, "is empty"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(tmp_path, text, error, sentence):
    path = tmp_path / "walk.mot"
    path.write_text(text)
    with pytest.raises(error, match=sentence):
        read_table(path)


def test_an_unknown_column_tells_the_nearest():
    table = Table(("hip_flex_r", "knee"), [0.0], [[1, 2]], name="walk01.mot")
    with pytest.raises(UnknownName, match=r"walk01\.mot has no column 'hip_flexion_r'.*'hip_flex_r'"):
        table.column("hip_flexion_r")


# ---- TRC ----


def trc_text(tmp_path, change=lambda text: text):
    path = write_trc(tmp_path / "a.trc", walker())
    path.write_text(change(path.read_text()))
    return path


def test_trc_tolerates_trailing_tabs_and_dos_line_ends(tmp_path):
    path = trc_text(tmp_path, lambda text: text.replace("\n", "\t\r\n"))
    assert_allclose(read_trc(path).markers.position_G, walker().position_G, atol=1e-8)


def test_trc_takes_a_last_marker_missing_as_three_empty_cells(tmp_path):
    markers = walker()
    position = markers.position_G.copy()
    position[4, -1] = np.nan
    path = write_trc(tmp_path / "a.trc", dataclasses.replace(markers, position_G=position))
    assert_array_equal(read_trc(path).markers.missing, np.isnan(position[:, :, 0]))


def cut_row(text: str) -> str:
    lines = text.split("\n")
    lines[10] = lines[10].rsplit("\t", 4)[0]
    return "\n".join(lines)


def half_marker(text: str) -> str:
    lines = text.split("\n")
    cells = lines[8].split("\t")
    cells[3] = ""
    lines[8] = "\t".join(cells)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (cut_row, FileFormatError, r"line 11: 22 cells, expected 26"),
        (half_marker, FileFormatError, r"line 9: marker 'LASI' has some but not all"),
        (lambda t: t.replace("\t60\t8\tmm", "\t61\t8\tmm"), FileFormatError, "NumFrames is 61, but 60"),
        (lambda t: t.replace("\t60\t8\tmm", "\t60\t9\tmm"), FileFormatError, "NumMarkers is 9, but line 4 names 8"),
        (
            lambda t: t.replace("\t60\t8\tmm", "\t60\t8\tm"),
            UnitError,
            r"in m, so the markers would span.*in mm they would",
        ),
        (lambda t: t.replace("\t60\t8\tmm", "\t60\t8\tcubits"), UnitError, "'cubits' is not a unit"),
        (lambda t: t.replace("\nDataRate", "\nRate"), FileFormatError, "'datarate' is missing"),
        (
            lambda t: t.replace("\n100.000000\t", "\n120.000000\t"),
            DataError,
            "says 120 frames per second, the times say 100",
        ),
        (lambda t: t.replace("\t0.070000\t", "\t0.076000\t"), DataError, "0.40 frames off"),
        (lambda t: t.replace("\t0.070000\t", "\t0.010000\t"), DataError, "from 0.06 to 0.01 s at line 14"),
        (lambda t: t.replace("RASI", "LASI"), FileFormatError, "both called 'LASI'"),
        (lambda t: t[:400], FileFormatError, "a.trc"),
        (lambda t: "", FileFormatError, "is empty"),
    ],
)
def test_a_bad_trc_is_refused_in_one_sentence(tmp_path, change, error, sentence):
    with pytest.raises(error, match=sentence):
        read_trc(trc_text(tmp_path, change))


def test_metres_called_millimetres_are_refused(tmp_path):
    path = write_trc(tmp_path / "a.trc", walker(), "m")
    path.write_text(path.read_text().replace("\t8\tm\t", "\t8\tmm\t"))
    with pytest.raises(UnitError, match=r"in mm, so the markers would span 0\.00094.*in m they would span"):
        read_trc(path)
    assert_allclose(read_trc(path, units="m").markers.path("LASI")[0], [0.1, 0.12, 0.95])


def test_frames_left_out_of_a_trc_are_told(tmp_path):
    def drop(text):
        lines = text.split("\n")
        return "\n".join(lines[:20] + lines[22:]).replace("\t60\t8\tmm", "\t58\t8\tmm")

    trial = read_trc(trc_text(tmp_path, drop))
    assert any("2 frames are missing, first after" in note for note in trial.notes)


def test_times_rounded_to_a_millisecond_pass(shared):
    trial = read_trc(shared / "samples/motion/opensim_gait2354/subject01_walk1.trc")
    assert trial.markers.position_G.shape == (151, 41, 3)
    assert trial.markers.rate == 60.0 and trial.notes == ()
    assert 1.6 < np.nanmax(trial.markers.path("Top.Head")[:, 1]) < 2.0


# ---- Forces ----


def test_cortex_walk_hits_plates_3_to_6(shared):
    folder = shared / "samples/motion/bmc_overground"
    trial = read_trial(folder / "walk1.trc", folder / "walk1.forces")
    peaks = {one.name: one.force_G[:, 1].max() for one in trial.plates}
    assert [name for name, peak in peaks.items() if peak > 100] == [f"plate {i}" for i in (3, 4, 5, 6)]
    assert all(800 < peak < 855 for peak in peaks.values() if peak > 100)
    for one in trial.plates:
        seen = ~np.isnan(one.point_G[:, 0])
        if seen.any():
            assert np.abs(one.point_G[seen, 1]).max() < 1e-9  # on the floor
            assert (np.nanmin(trial.markers.position_G[:, :, 0]) < one.point_G[seen, 0]).all()
            level = one.free_moment_G[:, [0, 2]]
            assert np.abs(level).max() == 0.0
    assert 0.9 < np.nanmedian(trial.markers.path("R.ASIS")[:, 1]) < 1.1


def test_labels_of_walk1_are_seen_to_be_exchanged_and_can_be_put_right(shared):
    """In the same laboratory walk2 has its right markers on the right; walk1 has them on the left."""
    folder = shared / "samples/motion/bmc_overground"
    wrong = read_trial(folder / "walk1.trc")
    assert any("12 of 12 markers named right stand to the LEFT" in note for note in wrong.notes)
    mended = read_trial(folder / "walk1.trc", swap_sides=True)
    assert not any("to the LEFT" in note for note in mended.notes)
    assert_array_equal(mended.markers.path("R.ASIS"), wrong.markers.path("L.ASIS"))
    assert not any("to the LEFT" in note for note in read_trial(folder / "walk2.trc").notes)


def test_computed_markers_beyond_the_count_are_left_out_and_told(shared):
    trial = read_trc(shared / "samples/motion/bmc_overground/walk2.trc")
    assert len(trial.markers.names) == 28
    assert any("V_Mid_ASIS" in note and "left out" in note for note in trial.notes)


FORCES = (
    "[Force Data]\nNumberOfForcePlates=1\nSampleRate=100.0\nNumberOfSamples=2\n"
    "#Sample\tFX1\tFY1\tFZ1\tX1\tY1\tZ1\tMZ1\n1\t10\t700\t-5\t200\t0\t100\t3000\n2\t10\t700\t-5\t200\t0\t100\t3000\n"
)


def test_cortex_wrench_by_hand(tmp_path):
    (tmp_path / "a.forces").write_text(FORCES)
    (one,) = read_forces(tmp_path / "a.forces")
    assert_allclose(one.time, [0.0, 0.01])
    # r x F with r = (0.2, 0, 0.1), F = (10, 700, -5): (0*-5 - 0.1*700, 0.1*10 - 0.2*-5, 0.2*700), plus 3 N·m about y
    assert_allclose(one.moment_G[0], [-70.0, 1.0 + 1.0 + 3.0, 140.0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.replace("Samples=2", "Samples=3"), "is 3, but 2 rows"),
        (lambda t: t.replace("FY1\tFZ1", "FZ1\tFY1"), "columns differ"),
        (lambda t: t.replace("\n2\t", "\n4\t"), "sample number does not follow"),
        (lambda t: t.replace("SampleRate=100.0\n", ""), "header needs"),
        (lambda t: t.replace("\t3000\n2", "\n2"), "line 6: 7 values, expected 8"),
    ],
)
def test_a_bad_forces_file_is_refused(tmp_path, change, sentence):
    (tmp_path / "a.forces").write_text(change(FORCES))
    with pytest.raises(FileFormatError, match=sentence):
        read_forces(tmp_path / "a.forces")


def random_plates(seed: int, count: int = 2) -> tuple[PlateForces, ...]:
    rng = np.random.default_rng(seed)
    time = np.arange(20) / 100
    made = []
    for i in range(count):
        force = rng.normal(size=(20, 3)) * [50, 0, 50] + [0, 600, 0]
        force[:5] = 0
        point = rng.uniform(-1, 1, (20, 3)) * [1, 0, 1]
        couple = rng.normal(size=(20, 3)) * [0, 5, 0] * (force[:, 1:2] > 0)
        made.append(plate_from_point(f"plate {i}", time, force, point, couple))
    return tuple(made)


@pytest.mark.parametrize(
    "prefixes",
    [
        ("ground_force_", "1_ground_force_"),
        ("ground_force_1_", "ground_force_2_"),
        ("ground_force_r_", "ground_force_l_"),
        ("R_ground_force_", "L_ground_force_"),
    ],
)
def test_forces_survive_the_way_through_an_opensim_table(tmp_path, prefixes):
    plates = random_plates(1)
    path = write_table(tmp_path / "grf.mot", table_from_plates(plates, prefixes), 17, significant=True)
    back, notes = plates_from_table(read_table(path))
    assert notes == () and [one.name for one in back] == [one.rstrip("_") for one in prefixes]
    for one, other in zip(back, plates, strict=True):
        assert_allclose(one.force_G, other.force_G, atol=1e-12)
        assert_allclose(one.moment_G, other.moment_G, atol=1e-10)
        assert_array_equal(np.isnan(one.point_G), np.isnan(other.point_G))


def test_moment_columns_named_m_and_leftovers_are_understood():
    labels = (
        [f"ground_force_1_{k}{a}" for k in "vp" for a in "xyz"] + [f"ground_moment_1_m{a}" for a in "xyz"] + ["emg"]
    )
    table = Table(tuple(labels), [0.0, 0.1], np.tile([0, 700, 0, 0.5, 0, 0, 0, 7, 0, 99.0], (2, 1)))
    (one,), notes = plates_from_table(table)
    assert_allclose(one.moment_G[0], [0, 7, 350])
    assert len(notes) == 1 and "emg" in notes[0]


def test_a_force_without_couple_is_told_and_one_without_point_refused():
    labels = tuple(f"ground_force_{k}{a}" for k in "vp" for a in "xyz")
    _, notes = plates_from_table(Table(labels, [0.0], [[0, 700, 0, 0.5, 0, 0]]))
    assert "no couple" in notes[0]
    with pytest.raises(FileFormatError, match="not ground_force_px, ground_force_py, ground_force_pz"):
        plates_from_table(Table(labels[:3], [0.0], [[0, 700, 0]]))
    with pytest.raises(DataError, match="pushes without a point"):
        plates_from_table(Table(labels, [0.0], [[0, 700, 0, np.nan, 0, 0]]))
    with pytest.raises(FileFormatError, match="no columns of ground forces"):
        plates_from_table(Table(("a",), [0.0], [[1.0]]))


@pytest.mark.parametrize("seed", range(3))
def test_pressure_point_and_couple_say_the_same_as_the_wrench(seed):
    """p x F + T about the origin, with T along the normal, whatever the plane."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    surface = rng.normal(size=3)
    force = rng.normal(size=(30, 3)) * 100 + 500 * normal
    moment = rng.normal(size=(30, 3)) * 100
    one = plate_from_wrench("p", np.arange(30.0), force, moment, surface, normal)
    assert_allclose(np.cross(one.point_G, force) + one.free_moment_G, moment, atol=1e-9)
    assert_allclose((one.point_G - surface) @ normal, 0, atol=1e-12)
    assert_allclose(np.cross(one.free_moment_G, normal), 0, atol=1e-9)


# ---- CSV ----


def test_csv_units_in_brackets_become_si(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time;hip [deg];tx [mm]\n0;90;1000\n0.1;180;2000\n")
    table = read_csv_motion(path)
    assert table.labels == ("hip", "tx") and not table.in_degrees
    assert_allclose(table.data, [[np.pi / 2, 1], [np.pi, 2]])


@pytest.mark.parametrize(
    ("text", "read", "sentence"),
    [
        ("time,hip\n0,1\n", read_csv_motion, "degrees or radians"),
        ("# inDegrees=yes\ntime,hip [deg]\n0,1\n", read_csv_motion, "states angles twice"),
        ("time,A_x,A_y,A_z\n0,1,2,3\n", read_csv_markers, "does not say its unit"),
        ("time,A_x,A_y\n0,1,2\n", read_csv_markers, "lacks a component"),
        ("time,A_x,B_y,A_z\n0,1,2,3\n", read_csv_markers, "'B_y' is not x, y or z of a marker"),
        ("time,a\n0,1,2\n", read_csv, "line 2: 3 cells, expected 2"),
        ("time,a [furlong]\n0,1\n", read_csv, "furlong"),
        ("a,b\n0,1\n", read_csv, "expected 'time'"),
    ],
)
def test_a_bad_csv_is_refused(tmp_path, text, read, sentence):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(HipspineError, match=sentence):
        read(tmp_path / "a.csv")


# ---- Trials and axes ----


def test_a_suffix_that_lies_is_told(tmp_path):
    path = write_trc(tmp_path / "a.trc", walker())
    (tmp_path / "b.c3d").write_bytes(path.read_bytes())
    with pytest.raises(FileFormatError, match=r"b\.c3d holds what a \.trc file holds"):
        read_trial(tmp_path / "b.c3d")
    with pytest.raises(FileFormatError, match=r"are read from \.c3d"):
        read_trial(write_table(tmp_path / "a.mot", Table(("x",), [0.0], [[1.0]])))


def test_forces_are_never_looked_for(tmp_path):
    write_trc(tmp_path / "walk.trc", walker())
    write_table(tmp_path / "walk.mot", table_from_plates(random_plates(1)))
    trial = read_trial(tmp_path / "walk.trc")
    assert trial.plates == () and any("pass them with --forces" in note for note in trial.notes)


def test_forces_shorter_than_the_motion_are_told_and_others_refused(tmp_path):
    write_trc(tmp_path / "walk.trc", walker())
    table = table_from_plates(random_plates(1))
    write_table(tmp_path / "short.mot", table)
    trial = read_trial(tmp_path / "walk.trc", tmp_path / "short.mot", up="z", forward="x")
    assert any("the rest has no forces" in note for note in trial.notes)
    write_table(tmp_path / "late.mot", dataclasses.replace(table, time=table.time + 100))
    with pytest.raises(DataError, match="never meet"):
        read_trial(tmp_path / "walk.trc", tmp_path / "late.mot")


ALL_AXES = [s + a for s in ("", "-") for a in "xyz"]


@pytest.mark.parametrize("up", ALL_AXES)
@pytest.mark.parametrize("forward", ALL_AXES)
def test_up_and_forward_are_found_however_the_laboratory_lies(up, forward):
    """Put a trial in every right-handed laboratory; it must come back to the same ground axes."""
    if up[-1] == forward[-1]:
        with pytest.raises(DataError, match="at right angles"):
            rotation_to_ground(up, forward)
        return
    ground = to_ground(Trial("walk", walker()), "z", "x")
    lab = dataclasses.replace(turn_trial(ground, rotation_to_ground(up, forward).T), R_GL=np.eye(3))
    assert (up_axis(lab).axis, forward_axis(lab, up).axis) == (up, forward)
    back = to_ground(lab)
    assert_allclose(back.markers.position_G, ground.markers.position_G, atol=1e-12)
    assert_allclose(back.R_GL, rotation_to_ground(up, forward), atol=1e-12)


def test_axes_of_nameless_markers_come_from_height_and_way():
    markers = walker()
    trial = Trial("walk", dataclasses.replace(markers, names=tuple(f"m{i}" for i in range(8))))
    assert up_axis(trial).axis == "z"
    t = np.arange(100)[:, None, None] / 50
    moving = np.array([[0, 0, 0.1], [0, 0.1, 1.0], [0, -0.1, 1.7]])[None] - t * [0, 1, 0]
    trial = Trial("walk", Markers(("a", "b", "c"), np.arange(100.0), moving, 1.0))
    assert (up_axis(trial).axis, forward_axis(trial, "z").axis) == ("z", "-y")


def test_an_explicit_choice_wins_and_an_unclear_one_is_asked_for():
    flat = Markers(("a", "b"), [0.0, 1.0], [[[0, 0, 0], [0.5, 0.5, 0.5]]] * 2, 1.0)
    with pytest.raises(DataError, match="State it: --up z"):
        to_ground(Trial("odd", flat))
    assert_allclose(to_ground(Trial("odd", flat), "z", "-y").R_GL, [[0, -1, 0], [0, 0, 1], [-1, 0, 0]])
    with pytest.raises(DataError, match="expected one of x, y, z"):
        to_ground(Trial("odd", flat), "up")


# ---- Names ----


@pytest.mark.parametrize(
    ("name", "landmark"),
    [
        ("R.ASIS", "asis_r"), ("RASI", "asis_r"), ("r.ASIS_study", "asis_r"), ("LASI", "asis_l"),
        ("V.Sacral", "sacrum"),
        ("L.Heel", "heel_l"), ("LHEE", "heel_l"), ("R_calc_study", "heel_r"), ("L.MT5", "metatarsal_5_l"),
        ("R.Knee.Medial", "knee_medial_r"), ("L_knee_study", "knee_lateral_l"), ("RANK", "ankle_lateral_r"),
        ("LKNEin", "knee_medial_l"), ("Top.Head", "head_top"), ("R.GTR", "trochanter_r"), ("*47", None),
        ("R.Thigh.Front", None),
    ],
)  # fmt: skip
def test_names_mean_landmarks(name, landmark):
    assert landmark_of(name) == landmark


def test_markers_are_paired_by_map_then_name_then_meaning():
    match = match_markers(
        ["RASI", "L.ASIS", "sternum", "odd", "zz"], ["R.ASIS", "L.ASIS", "Sternum", "R.Heel"], {"odd": "R.Heel"}
    )
    assert dict(match.pairs) == {"odd": "R.Heel", "L.ASIS": "L.ASIS", "sternum": "Sternum", "RASI": "R.ASIS"}
    assert match.trial_only == ("zz",) and match.model_only == ()
    assert any("'RASI' is taken for the model's 'R.ASIS'" in note for note in match.notes)
    with pytest.raises(UnknownName, match=r"'RASSI', which the trial does not have \(nearest: 'RASI'"):
        match_markers(["RASI"], ["R.ASIS"], {"RASSI": "R.ASIS"})
    with pytest.raises(UnknownName, match="--markers"):
        match_markers(["a1"], ["R.ASIS"])


def test_marker_maps_in_toml_and_csv_say_the_same(tmp_path):
    (tmp_path / "m.toml").write_text('[markers]\n"LASI" = "L.ASIS"\n')
    (tmp_path / "m.csv").write_text("trial,model\nLASI,L.ASIS\n")
    assert read_marker_map(tmp_path / "m.toml") == read_marker_map(tmp_path / "m.csv") == {"LASI": "L.ASIS"}
    (tmp_path / "m.csv").write_text("LASI,L.ASIS\n")
    with pytest.raises(FileFormatError, match="'trial,model'"):
        read_marker_map(tmp_path / "m.csv")
    (tmp_path / "m.toml").write_text("LASI L.ASIS")
    with pytest.raises(FileFormatError, match="not a TOML table"):
        read_marker_map(tmp_path / "m.toml")


def test_sides_are_exchanged_in_names_that_have_a_partner():
    names = [
        "R.ASIS",
        "L.ASIS",
        "LFHD",
        "RFHD",
        "Left_knee",
        "Right_knee",
        "knee_r",
        "knee_l",
        "V_R.MT2",
        "V_L.MT2",
        "LBAK",
        "C7",
    ]
    assert [swapped_side(name, names) for name in names] == [
        "L.ASIS", "R.ASIS", "RFHD", "LFHD", "Right_knee", "Left_knee", "knee_l", "knee_r", "V_L.MT2", "V_R.MT2",
        "LBAK", "C7",
    ]  # fmt: skip


def test_gait_markers_of_plug_in_gait_and_cortex():
    feet = gait_markers(["LHEE", "LTOE", "RHEE", "RTOE", "LASI", "RASI"])
    assert feet.sides == ("left", "right") and feet.pelvis == ("LASI", "RASI")
    assert gait_markers(["L.Heel", "L.MT1"]).sides == ("left",)


# ---- Records and units ----


def test_records_refuse_what_cannot_be():
    t = np.array([0.0, 0.1])
    with pytest.raises(DataError, match="shape"):
        Motion(("a",), t, np.zeros((2, 2)), np.zeros((2, 1)), np.zeros((2, 1)))
    with pytest.raises(DataError, match="not finite at frame 1; fill or trim"):
        Motion(("a",), t, np.array([[0.0], [np.nan]]), np.zeros((2, 1)), np.zeros((2, 1)))
    with pytest.raises(DataError, match="must increase"):
        Motion(("a",), t[::-1], *np.zeros((3, 2, 1)))
    with pytest.raises(DataError, match="twice"):
        Motion(("a", "a"), t, *np.zeros((3, 2, 2)))
    with pytest.raises(DataError, match="some but not all"):
        Markers(("a",), t, np.array([[[0, 0, np.nan]], [[0, 0, 0]]]), 10.0)
    with pytest.raises(DataError, match="not a rotation"):
        Trial("a", walker(), R_GL=2 * np.eye(3))


def test_records_own_their_arrays():
    q = np.zeros((2, 1))
    motion = Motion(("a",), [0.0, 0.1], q, q, q)
    q[:] = 5
    assert_array_equal(motion.q, 0)
    with pytest.raises(UnknownName, match=r"no coordinate 'aa' \(nearest: 'a'\)|no coordinate 'aa'"):
        motion.column("aa")


@pytest.mark.parametrize(
    ("text", "quantity", "factor"),
    [("mm", "length", 1e-3), ("MM", "length", 1e-3), ("meters", "length", 1.0), ("Nmm", "moment", 1e-3),
     ("N.m", "moment", 1.0),
     ("N·mm/kg", "moment per mass", 1e-3), ("deg", "angle", np.pi / 180), ("%BW", "force per body weight", 0.01)],
)  # fmt: skip
def test_units_as_files_spell_them(text, quantity, factor):
    assert parse_unit(text).quantity == quantity
    assert si_factor(text, quantity) == pytest.approx(factor, rel=1e-15)
    with pytest.raises(UnitError, match="a mass was expected"):
        si_factor(text, "mass")
