"""OpenSim's XML: what its own reader forgives is read, what would change an answer is refused by name and line."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest

from hipspine.errors import FileFormatError
from hipspine.formats import opensim_xml as xml

MUELLER = '<OpenSimDocument Version="40000"><Model name="Müller"/></OpenSimDocument>'


def write(folder: Path, body: str, version: str = "40600", name: str = "one.osim", head: str | None = None) -> Path:
    head = '<?xml version="1.0" encoding="UTF-8" ?>\n' if head is None else head
    path = folder / name
    path.write_text(f'{head}<OpenSimDocument Version="{version}">\n{body}\n</OpenSimDocument>\n', encoding="utf-8")
    return path


def refusal(path: Path, **options) -> str:
    with pytest.raises(FileFormatError) as error:
        xml.read_document(path, **options)
    return str(error.value)


def element(folder: Path, properties: str) -> xml.OpenSimElement:
    return xml.read_document(write(folder, f'<Thing name="this one">\n{properties}\n</Thing>')).root


# ---------------------------------------------------------------------------------------------------------- reading


def test_document_knows_its_object_version_and_digest(tmp_path):
    path = write(tmp_path, '<Model name="m"><gravity>0 -9.81 0</gravity></Model>', "30000")
    document = xml.read_document(path)
    assert (document.root.tag, document.version, document.mended, document.warnings) == ("Model", 30000, (), ())
    assert document.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert document.root.line == 3


@pytest.mark.parametrize("version", ["30000", "40000", "40500", "40600"])
def test_versions_of_opensim_3_and_4_are_read(tmp_path, version):
    assert xml.read_document(write(tmp_path, "<Model/>", version)).version == int(version)


@pytest.mark.parametrize("version", ["10905", "20001", "20302", "29999"])
def test_older_models_are_refused_with_the_way_to_convert_them(tmp_path, version):
    message = refusal(write(tmp_path, "<Model/>", version))
    assert version in message and "30000 (OpenSim 3.0) to 40600" in message
    assert "Save Model As" in message and "printToXML" in message


def test_setup_files_of_opensim_2_are_read_where_asked_for(tmp_path):
    assert xml.read_document(write(tmp_path, "<ScaleTool/>", "20302"), oldest=xml.OLDEST_SETUP).version == 20302


def test_newer_minor_version_warns_and_a_new_major_version_is_refused(tmp_path):
    (warning,) = xml.read_document(write(tmp_path, "<Model/>", "40700")).warnings
    assert "40700" in warning and "read as 40600" in warning
    assert "newer hipspine" in refusal(write(tmp_path, "<Model/>", "50000"))


def test_version_missing_or_not_a_number_is_refused(tmp_path):
    path = tmp_path / "a.osim"
    path.write_text("<OpenSimDocument><Model/></OpenSimDocument>")
    assert "has no Version" in refusal(path)
    assert "'4.6', expected a whole number" in refusal(write(tmp_path, "<Model/>", "4.6"))


def test_tags_with_two_colons_are_names_like_any_other(tmp_path):
    body = """<Model><HuntCrossleyForce><HuntCrossleyForce::ContactParametersSet name="contact_parameters"><objects>
    <HuntCrossleyForce::ContactParameters><geometry>heel</geometry></HuntCrossleyForce::ContactParameters>
    </objects></HuntCrossleyForce::ContactParametersSet></HuntCrossleyForce></Model>"""
    document = xml.read_document(write(tmp_path, body))
    (one,) = xml.iterate(document.root, "HuntCrossleyForce::ContactParameters")
    assert xml.text(one, "geometry") == "heel" and document.mended == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_understood(tmp_path, encoding):
    path = tmp_path / "a.osim"
    path.write_bytes('<OpenSimDocument Version="40000"><Model name="Müller"/></OpenSimDocument>'.encode(encoding))
    assert xml.name_of(xml.read_document(path).root) == "Müller"


def test_declared_encoding_is_obeyed(tmp_path):
    path = tmp_path / "a.osim"
    text = f'<?xml version="1.0" encoding="ISO-8859-1"?>{MUELLER}'
    path.write_bytes(text.encode("latin-1"))
    document = xml.read_document(path)
    assert xml.name_of(document.root) == "Müller" and document.mended == ()


def test_wrong_code_page_is_mended_and_said(tmp_path):
    path = tmp_path / "a.osim"
    text = f'<?xml version="1.0" encoding="UTF-8"?>{MUELLER}'
    path.write_bytes(text.encode("cp1252"))
    document = xml.read_document(path)
    assert xml.name_of(document.root) == "Müller"
    assert document.mended == ("characters read as cp1252: they do not fit the declared encoding UTF-8",)


def test_slips_that_opensim_forgives_are_mended_said_and_keep_their_lines(tmp_path):
    body = "<!-- a -- b\n -- c -->\n<Model name='f & g'>\n<credits>A&B\x07</credits>\n</Model>"
    document = xml.read_document(write(tmp_path, body, head="\n  <?xml version='1.0'?>\n"))
    assert xml.name_of(document.root) == "f & g" and xml.text(document.root, "credits") == "A&B"
    assert document.mended == (
        "blanks before the XML declaration",
        "'--' inside a comment",
        "'&' not written as '&amp;'",
        "control characters in the text",
    )
    credits = document.root.find("credits")
    assert document.root.line == 6 and credits is not None and credits.line == 7


def test_second_object_of_a_document_is_named_as_unread(tmp_path):
    (warning,) = xml.read_document(write(tmp_path, "<Model/><ForceSet/>")).warnings
    assert "<ForceSet>" in warning


def test_every_shared_model_and_setup_is_read_unmended(shared):
    paths = [*shared.glob("opensim/**/*.osim"), *shared.glob("opensim/**/*.xml")]
    assert len(paths) > 90
    for path in paths:
        document = xml.read_document(path, oldest=xml.OLDEST_SETUP)
        assert document.mended == () and document.warnings == ()


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_truncated_file_is_refused_with_line_and_open_element(tmp_path, kept):
    bodies = "".join(f'<Body name="b{i}">\n<mass>1.5</mass>\n</Body>\n' for i in range(20))
    path = write(tmp_path, f"<Model><BodySet><objects>\n{bodies}</objects></BodySet></Model>")
    text = path.read_text()
    text = text[: int(len(text) * kept)]
    path.write_text(text)
    message = refusal(path)
    assert f"breaks off in line {text.count(chr(10)) + 1}" in message
    assert "truncated" in message and "opened in line" in message and "Copy it again" in message


def test_crossed_tags_are_refused_with_their_line(tmp_path):
    message = refusal(write(tmp_path, "<Model>\n<mass>1</mas>\n<credits/>\n</Model>"))
    assert "line 4" in message and "mismatched tag" in message and "<mass>" in message


def test_missing_file_names_its_neighbour(tmp_path):
    write(tmp_path, "<Model/>", name="subject01.osim")
    assert "does not exist (nearest: 'subject01.osim')" in refusal(tmp_path / "subject1.osim")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"PathFileType\t4\t(X/Y/Z)\twalk.trc\n", "a .trc marker file"),
        (b"Coordinates\nversion=1\nnRows=1\nendheader\ntime\tq\n", "a .mot or .sto table"),
        (b"\x02\x50\x00\x01" + bytes(600), "a C3D recording"),
        (b"PK\x03\x04" + bytes(40), "a zip archive"),
        (b"hello", "'hello'"),
        (b"<html><body>404</body></html>", "a web page"),
        (b"<mujoco/>", "a MuJoCo model"),
        (b"<Model name='x'/>", "before OpenSim 2.0"),
        (b"<OpenSimDocument Version='40000'></OpenSimDocument>", "without any object"),
    ],
)
def test_other_kinds_of_file_are_called_by_their_name(tmp_path, content, words):
    path = tmp_path / "a.osim"
    path.write_bytes(content)
    assert words in refusal(path)


def test_wrong_kind_of_object_is_refused(tmp_path):
    message = refusal(write(tmp_path, "<ForceSet/>"), expected="Model")
    assert "<ForceSet> (line 3), expected <Model>" in message


def test_folder_in_place_of_a_file_is_refused(tmp_path):
    assert "is a folder" in refusal(tmp_path)


# ---------------------------------------------------------------------------------------------------------- getters


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1.5", 1.5),
        ("  -1e-3\n", -1e-3),
        ("Inf", math.inf),
        ("-infinity", -math.inf),
        ("Infinity", math.inf),
        ("-INF", -math.inf),
        ("-1.#INF", -math.inf),
        ("1d3", 1000.0),
    ],
)
def test_numbers_are_read_in_every_spelling(tmp_path, written, value):
    assert xml.number(element(tmp_path, f"<mass>{written}</mass>"), "mass") == value


@pytest.mark.parametrize("written", ["NaN", "nan", "-1.#IND", "1.#QNAN"])
def test_not_a_number_is_read_in_every_spelling(tmp_path, written):
    assert math.isnan(xml.number(element(tmp_path, f"<mass>{written}</mass>"), "mass"))


def test_values_are_read_and_defaults_stand_in_only_where_nothing_is_stated(tmp_path):
    one = element(
        tmp_path,
        "<on>TRUE</on><off>0</off><point> 1\n2 , 3</point><list>a b\n c</list><none/><n>7</n>"
        "<label> some text </label><bracketed>~[1,2,3]</bracketed>",
    )
    assert xml.flag(one, "on") is True and xml.flag(one, "off") is False and xml.flag(one, "absent", True) is True
    assert xml.vector3(one, "point") == xml.vector3(one, "bracketed") == (1.0, 2.0, 3.0)
    assert xml.words(one, "list") == ("a", "b", "c") and xml.words(one, "none", ("x",)) == ()
    assert xml.whole_number(one, "n") == 7 and xml.text(one, "label") == "some text"
    assert xml.number(one, "absent", 4.0) == 4.0 and xml.text(one, "none", "x") == ""
    assert xml.unread(one, ("on", "off", "point", "list", "none", "n")) == ("label", "bracketed")


@pytest.mark.parametrize(
    ("getter", "written", "words"),
    [
        (xml.number, "heavy", "'heavy' is not a number"),
        (xml.number, "", "is empty, expected one number"),
        (xml.number, "1,5", "a point, not a comma"),
        (xml.number, "1_000", "'1_000' is not a number"),
        (xml.whole_number, "1.5", "expected a whole number"),
        (xml.vector3, "1 2", "2 numbers where 3 are expected"),
        (xml.vector3, "0,5 1", "Write decimals with a point, not a comma"),
        (xml.numbers, "0,5 1,5", "Write decimals with a point, not a comma"),
        (xml.flag, "yes", "expected true or false"),
        (xml.flag, "", "is empty"),
    ],
)
def test_refused_values_name_file_line_object_and_property(tmp_path, getter, written, words):
    one = element(tmp_path, f"\n<mass>{written}</mass>")
    with pytest.raises(FileFormatError) as error:
        getter(one, "mass")
    message = str(error.value)
    assert words in message
    assert f"{tmp_path / 'one.osim'}, line 5: <Thing 'this one'> mass" in message


def test_missing_property_names_the_nearest_one(tmp_path):
    with pytest.raises(FileFormatError, match=r"<Thing 'this one'> masss is missing \(nearest: 'mass'\)"):
        xml.number(element(tmp_path, "<mass>1</mass>"), "masss")


def test_one_for_true_is_refused_where_opensim_takes_it_as_false(tmp_path):
    one = element(tmp_path, "<apply>1</apply>")
    assert xml.flag(one, "apply") is True
    with pytest.raises(FileFormatError, match="reads as false here"):
        xml.flag(one, "apply", digits=False)


def test_property_stated_twice_is_told(tmp_path):
    one = element(tmp_path, "<mass>1</mass><mass>2</mass>")
    assert xml.number(one, "mass") == 1.0
    assert xml.unread(one, ("mass",)) == ("mass (given 2 times; the first is read)",)


def test_sets_give_their_objects_and_groups_in_order(tmp_path):
    one = element(
        tmp_path,
        "<objects><A name='1'/><B name='2'/></objects>"
        "<groups><ObjectGroup name='g'><members>1 2</members></ObjectGroup></groups>",
    )
    assert [xml.name_of(each) for each in xml.objects(one)] == ["1", "2"]
    assert xml.groups(one) == {"g": ("1", "2")} and xml.objects(None) == []


# ---------------------------------------------------------------------------------------- defaults and linked files


def test_defaults_fill_what_objects_of_that_class_leave_out(tmp_path):
    body = """<ForceSet><defaults>
      <CoordinateActuator name="default"><optimal_force>300</optimal_force><min_control>-1</min_control>
      </CoordinateActuator>
      <CoordinateActuator name="default"><optimal_force>7</optimal_force></CoordinateActuator>
    </defaults><objects>
      <CoordinateActuator name="a"><coordinate>hip</coordinate></CoordinateActuator>
      <CoordinateActuator name="b"><optimal_force>5</optimal_force></CoordinateActuator>
      <PointActuator name="c"/>
    </objects><defaults><PointActuator name="default"><optimal_force>9</optimal_force></PointActuator></defaults>
    </ForceSet>"""
    document = xml.read_document(write(tmp_path, body))
    applied = xml.apply_defaults(document)
    a, b, c = xml.objects(applied.root)
    assert (xml.number(a, "optimal_force"), xml.number(a, "min_control")) == (300.0, -1.0)
    assert (xml.number(b, "optimal_force"), xml.number(b, "min_control")) == (5.0, -1.0)
    assert [child.tag for child in b] == ["optimal_force", "min_control"]  # a stated value is not given twice
    assert not xml.has(c, "optimal_force")  # a second block has no effect, as in OpenSim
    assert not xml.has(applied.root, "defaults") and xml.text(a, "coordinate") == "hip"
    assert not xml.has(xml.objects(document.root)[0], "optimal_force")  # the document given stays as it was


def test_document_without_defaults_is_returned_as_it_is(tmp_path):
    document = xml.read_document(write(tmp_path, "<Model/>"))
    assert xml.apply_defaults(document) is document


def test_object_kept_in_its_own_file_is_read_from_there(tmp_path):
    write(tmp_path, '<TaskSet name="mine"><objects/></TaskSet>', name="tasks.xml")
    root = xml.read_document(write(tmp_path, '<Tool><TaskSet file="tasks.xml"/></Tool>')).root
    read: list[Path] = []
    assert xml.name_of(xml.linked(root[0], read.append)) == "mine" and read == [tmp_path / "tasks.xml"]


def test_linked_file_that_is_missing_is_named(tmp_path):
    write(tmp_path, "<TaskSet/>", name="tasks.xml")
    root = xml.read_document(write(tmp_path, '<Tool>\n<TaskSet file="task.xml"/></Tool>')).root
    with pytest.raises(FileFormatError, match=r"line 4: <TaskSet> refers to the file 'task.xml'.*nearest: 'tasks.xml'"):
        xml.linked(root[0])
