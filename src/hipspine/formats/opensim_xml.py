"""This file answers: what stands in an OpenSim XML file (.osim, set-up, loads, tasks)?

OpenSim's own reader is more forgiving than the XML standard: class names such as `HuntCrossleyForce::ContactParameters`
are tags, comments hold `--`, names are typed in one code page and declared in another. `read_document` reads such files
too, says in `Document.mended` what it had to overlook, and keeps the line of every element, so that every message can
name the file, the line, the object and the property.

The tree is made of `OpenSimElement`, an `xml.etree.ElementTree.Element` that also knows its `line` and `path`.
The getters (`text`, `number`, `numbers`, `vector3`, `flag`, `words` ...) read one property of one object: a child
element whose text is the value.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element
from xml.parsers import expat

from hipspine.errors import FileFormatError, nearest_names

OLDEST_MODEL = 30000
"""Oldest document version of a model: before it joints stood inside bodies and muscles had other parameters."""

OLDEST_SETUP = 20001
"""Oldest document version of set-up, task, loads and scale files: their layout has not changed since OpenSim 2.0."""

NEWEST = 40600
"""Document version that OpenSim 4.6 writes, the newest whose layout is known here."""

TOO_NEW = 50000
"""From this version on the layout may be another one; such files are refused."""

RESAVE = (
    "Open it in OpenSim 4.x (File > Open Model, then File > Save Model As...) or run in Python "
    "`import opensim; m = opensim.Model('old.osim'); m.finalizeConnections(); m.printToXML('new.osim')`, "
    "and use the file so written."
)

_REQUIRED: Any = object()


class OpenSimElement(Element):
    """An XML element that knows where it stands: `path` (file) and `line` (1 is the first)."""

    path: str = ""
    line: int = 0


@dataclass(frozen=True)
class Document:
    """One OpenSim XML file.

    `root` is the first object under `<OpenSimDocument>`; `mended` tells in plain words what was overlooked to read the
    file, `warnings` what the person should know.
    """

    root: OpenSimElement
    version: int
    path: Path
    sha256: str
    mended: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())


# ---------------------------------------------------------------------------------------------------------- reading


def read_document(
    path: str | os.PathLike[str], *, oldest: int = OLDEST_MODEL, expected: str | Iterable[str] | None = None
) -> Document:
    """Read one OpenSim XML file.

    Parameters
    ----------
    path : path of the file.
    oldest : lowest document version accepted: `OLDEST_MODEL` for models, `OLDEST_SETUP` for the files of the tools.
    expected : tag, or tags, that the first object may have (`"Model"`); None accepts any.

    Returns
    -------
    Document

    Raises
    ------
    FileFormatError
        Missing, empty, truncated, not XML, not an OpenSim document, of another kind, or of a version that is not read;
        the message says what was found, in which line where that is known, and what to do.
    """
    path = Path(path)
    raw = _bytes_of(path)
    text, mended = _decoded(raw, path)
    top, more = _parsed(text, path)
    mended += more
    if top.tag != "OpenSimDocument":
        raise FileFormatError(_not_opensim(top, path))
    version, warnings = _version(top, path, oldest)
    objects = list(top)
    if not objects:
        raise FileFormatError(f"{path} is an OpenSim document without any object in it. Export the file again.")
    root = objects[0]
    assert isinstance(root, OpenSimElement)
    if len(objects) > 1:
        others = ", ".join(f"<{one.tag}>" for one in objects[1:])
        warnings += (f"{path.name}: only the first object, <{root.tag}>, is read; not read: {others}.",)
    if expected is not None:
        tags = (expected,) if isinstance(expected, str) else tuple(expected)
        if root.tag not in tags:
            wanted = " or ".join(f"<{tag}>" for tag in tags)
            raise FileFormatError(
                f"{path} holds a <{root.tag}> (line {root.line}), expected {wanted}. Give the file of that kind."
            )
    return Document(root, version, path, hashlib.sha256(raw).hexdigest(), mended, warnings)


def _bytes_of(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        near = nearest_names(path.name, _names_in(path.parent))
        raise FileFormatError(f"{path} does not exist{near}. Check the name and the folder.") from None
    except IsADirectoryError:
        raise FileFormatError(f"{path} is a folder, expected an OpenSim XML file. Name a file in it.") from None
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}. Check its permissions.") from error
    if not raw.strip():
        raise FileFormatError(f"{path} is empty. Export or copy it again.")
    return raw


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in folder.iterdir())
    except OSError:
        return []


def _decoded(raw: bytes, path: Path) -> tuple[str, tuple[str, ...]]:
    """Characters of the file: by its byte order mark, else its declared encoding, else UTF-8, else Windows-1252."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if raw.startswith(mark):
            try:
                return raw.decode(encoding), ()
            except UnicodeDecodeError as error:
                raise FileFormatError(
                    f"{path} begins as {encoding.upper()} text but byte {error.start + 1} does not fit. "
                    "It is damaged or truncated: copy it again."
                ) from None
    declared = re.match(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']", raw)
    name = declared.group(1).decode("ascii") if declared else "UTF-8"
    try:
        return raw.decode(name), ()
    except (UnicodeDecodeError, LookupError):
        pass
    if b"\x00" in raw[:4096]:
        raise FileFormatError(f"{path} is not an OpenSim XML file: {_guess(raw)}.")
    for other in ("utf-8", "cp1252", "latin-1"):
        try:
            text = raw.decode(other)
        except UnicodeDecodeError:
            continue
        return text, (f"characters read as {other}: they do not fit the declared encoding {name}",)
    raise AssertionError("latin-1 decodes every byte")


def _parsed(text: str, path: Path) -> tuple[OpenSimElement, tuple[str, ...]]:
    """Tree of the text; where the strict grammar fails, once more with the slips that OpenSim forgives taken out."""
    mended: tuple[str, ...] = ()
    if text[:1].isspace():  # TinyXML allows blanks before the declaration; lines keep their numbers
        lead = len(text) - len(text.lstrip())
        declaration = re.match(r"<\?xml.*?\?>", text[lead:], re.DOTALL)
        if declaration:
            end = lead + declaration.end()
            text = "\n" * text[:end].count("\n") + text[end:]
            mended += ("blanks before the XML declaration",)
    if not text.lstrip().startswith("<"):
        raise FileFormatError(f"{path} is not an OpenSim XML file: {_guess(text.encode('utf-8', 'replace'))}.")
    builder = _Builder(path)
    try:
        return builder.tree(text), mended
    except expat.ExpatError as first:
        forgiven, slips = _without_slips(text)
        if slips:
            try:
                return _Builder(path).tree(forgiven), mended + slips
            except expat.ExpatError:
                pass
        raise FileFormatError(_broken(builder, first, text, path)) from None


class _Builder:
    """Builds the tree with the plain expat grammar, in which `A::B` is a name like any other."""

    def __init__(self, path: Path):
        self.path = str(path)
        self.open: list[OpenSimElement] = []
        self.root: OpenSimElement | None = None
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def tree(self, text: str) -> OpenSimElement:
        self.parser.Parse(text.encode("utf-8"), True)
        assert self.root is not None  # expat reports "no element found" itself
        return self.root

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        element = OpenSimElement(tag, attributes)
        element.path = self.path
        element.line = self.parser.CurrentLineNumber
        if self.open:
            self.open[-1].append(element)
        else:
            self.root = element
        self.open.append(element)

    def _end(self, tag: str) -> None:
        self.open.pop()

    def _characters(self, characters: str) -> None:
        if self.open:
            element = self.open[-1]
            element.text = (element.text or "") + characters


def _without_slips(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without the slips that OpenSim's reader passes over, and what they were."""
    slips: list[str] = []

    def blank(found: re.Match[str]) -> str:
        return "\n" * found.group(0).count("\n")

    kept = re.sub(r"<!--.*?-->", blank, text, flags=re.DOTALL)
    if any("--" in one[4:-3] for one in re.findall(r"<!--.*?-->", text, flags=re.DOTALL)):
        slips.append("'--' inside a comment")
    mended = re.sub(r"&(?!(?:[A-Za-z_][\w.-]*|#\d+|#x[0-9A-Fa-f]+);)", "&amp;", kept)
    if mended != kept:
        slips.append("'&' not written as '&amp;'")
    clean = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", " ", mended)
    if clean != mended:
        slips.append("control characters in the text")
    return clean, tuple(slips)


def _broken(builder: _Builder, error: expat.ExpatError, text: str, path: Path) -> str:
    reason = expat.ErrorString(error.code)
    opened = [one.tag for one in builder.open]
    line = error.lineno
    if error.code in _TRUNCATED or (error.lineno >= text.rstrip().count("\n") + 1 and builder.open):
        last = f"inside <{opened[-1]}> (opened in line {builder.open[-1].line})" if opened else "before any element"
        return (
            f"{path} breaks off in line {line}, {last}: it is truncated or was not written to its end. "
            "Copy it again from its source, or export it again from OpenSim."
        )
    inside = f" inside <{opened[-1]}> (opened in line {builder.open[-1].line})" if opened else ""
    return (
        f"{path}, line {line}, column {error.offset + 1}: not well-formed XML ({reason}){inside}. "
        "Correct that line in a text editor, or export the file again from OpenSim."
    )


_TRUNCATED = frozenset(
    expat.errors.codes[name]
    for name in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)


def _version(top: OpenSimElement, path: Path, oldest: int) -> tuple[int, tuple[str, ...]]:
    stated = top.get("Version")
    if stated is None:
        raise FileFormatError(
            f"{path}: <OpenSimDocument> has no Version, as written before OpenSim 2.0; "
            f"versions {oldest} to {NEWEST} are read. {RESAVE}"
        )
    try:
        version = int(stated)
    except ValueError:
        raise FileFormatError(
            f"{path}, line {top.line}: Version is {stated!r}, expected a whole number such as {NEWEST}. {RESAVE}"
        ) from None
    if version < oldest:
        raise FileFormatError(
            f"{path} is of document version {version}; versions {oldest} (OpenSim {_release(oldest)}) to {NEWEST} "
            f"(OpenSim 4.6) are read. {RESAVE}"
        )
    if version >= TOO_NEW:
        raise FileFormatError(
            f"{path} is of document version {version}, newer than {NEWEST} (OpenSim 4.6), the newest that is read. "
            "Save it from OpenSim 4.x, or use a newer hipspine."
        )
    if version > NEWEST:
        return version, (
            f"{path.name} is of document version {version}, newer than {NEWEST} (OpenSim 4.6); it is read as {NEWEST}.",
        )
    return version, ()


def _release(version: int) -> str:
    return f"{version // 10000}.{version // 100 % 100}"


def _not_opensim(top: OpenSimElement, path: Path) -> str:
    tag = top.tag.rpartition("}")[2]
    objects = ("Model", "ScaleTool", "AnalyzeTool", "InverseKinematicsTool", "InverseDynamicsTool", "ExternalLoads")
    if tag in objects or tag.endswith(("Set", "Tool")):
        return (
            f"{path} has <{tag}> as its outermost element, not <OpenSimDocument>: it was written before OpenSim 2.0. "
            f"{RESAVE}"
        )
    known = {
        "VTKFile": "a VTK geometry file",
        "html": "a web page (was it saved from a browser instead of downloaded?)",
        "HTML": "a web page (was it saved from a browser instead of downloaded?)",
        "mujoco": "a MuJoCo model",
        "robot": "a URDF robot model",
        "sdf": "a Gazebo (SDF) model",
        "COLLADA": "a COLLADA scene",
        "svg": "a picture (SVG)",
    }
    what = known.get(tag, "XML of another kind")
    return (
        f"{path} is not an OpenSim document: its outermost element is <{top.tag}> ({what}), expected "
        "<OpenSimDocument>. Give an .osim or set-up file."
    )


def _guess(raw: bytes) -> str:
    head = raw[:4096]
    text = head.decode("utf-8", "replace").lstrip("﻿ \t\r\n")
    if head[:4] == b"PK\x03\x04":
        return "it is a zip archive; unpack it first"
    if head[:2] == b"\x1f\x8b":
        return "it is gzip-compressed; unpack it first"
    if len(head) > 1 and head[1] == 0x50 and head[0] < 16:
        return "it looks like a C3D recording; give it as the trial"
    if text.startswith("PathFileType"):
        return "it is a .trc marker file; give it as the trial, not here"
    if re.search(r"^\s*endheader\s*$", text, re.MULTILINE | re.IGNORECASE):
        return "it is a .mot or .sto table; give it as motion or forces, not here"
    if text.startswith("version https://git-lfs"):
        return "it is a Git LFS pointer; fetch the file itself with `git lfs pull`"
    start = text.splitlines()[0][:40] if text.splitlines() else ""
    return f"its first line is {start!r}, where '<' was expected"


# ---------------------------------------------------------------------------------------------------------- defaults


def apply_defaults(document: Document) -> Document:
    """Give each object the property values that the file's `<defaults>` state for its class and it leaves out.

    The first `<defaults>` block of the first object holds one object per class, named `default`. As in OpenSim, the
    value holds for every object of exactly that class in the same file that does not state the property itself; values
    are not merged any deeper, and further blocks, or a class stated a second time, have no effect. (OpenSim lets such
    values leak into files that the same process reads later; that is not copied.) The blocks are not in the tree
    returned. The document given is left as it was.
    """
    block = document.root.find("defaults")
    if block is None:
        return document
    by_class: dict[str, list[Element]] = {}
    for one in block:
        by_class.setdefault(one.tag, list(one))
    return Document(
        _with_defaults(document.root, by_class),
        document.version,
        document.path,
        document.sha256,
        document.mended,
        document.warnings,
    )


def _with_defaults(element: Element, by_class: dict[str, list[Element]]) -> OpenSimElement:
    made = OpenSimElement(element.tag, element.attrib)
    made.text = element.text
    made.path = getattr(element, "path", "")
    made.line = getattr(element, "line", 0)
    for child in element:
        if child.tag != "defaults":
            made.append(_with_defaults(child, by_class))
    stated = {child.tag for child in element}
    for default in by_class.get(element.tag, ()):
        if default.tag not in stated:
            made.append(default)
    return made


# ----------------------------------------------------------------------------------------------------------- getters


def described(element: Element, name: str | None = None) -> str:
    """Text for a message: file, line, object and, if given, its property: `walk.xml, line 7: <Marker 'RASI'> body`."""
    line = getattr(element, "line", 0)
    where = getattr(element, "path", "") or "(XML in memory)"
    label = element.get("name")
    what = f"<{element.tag} {label!r}>" if label else f"<{element.tag}>"
    if name is not None:
        child = element.find(name)
        line = getattr(child, "line", line) if child is not None else line
        what += f" {name}"
    return f"{where}, line {line}: {what}" if line else f"{where}: {what}"


def name_of(element: Element) -> str:
    """The object's name; an empty string where it has none."""
    return (element.get("name") or "").strip()


def has(element: Element, name: str) -> bool:
    """Whether the object states the property, empty or not."""
    return element.find(name) is not None


def text(element: Element, name: str, default: Any = _REQUIRED) -> Any:
    """Text of a property without the blanks around it; `default` where the object does not state the property."""
    child = element.find(name)
    if child is None:
        return _absent(element, name, default, "a text")
    return (child.text or "").strip()


def number(element: Element, name: str, default: Any = _REQUIRED) -> Any:
    """One number. Infinity and not-a-number are read in every spelling: `Inf`, `-infinity`, `NaN`, `-1.#INF`."""
    child = element.find(name)
    if child is None:
        return _absent(element, name, default, "a number")
    values = numbers(element, name)
    if len(values) != 1:
        raise FileFormatError(f"{described(element, name)} is {_shown(child)}, expected one number.{_comma(child)}")
    return values[0]


def whole_number(element: Element, name: str, default: Any = _REQUIRED) -> Any:
    """One whole number; `10.0` is one, `10.5` is refused."""
    child = element.find(name)
    if child is None:
        return _absent(element, name, default, "a whole number")
    value = number(element, name)
    if not math.isfinite(value) or value != int(value):
        raise FileFormatError(f"{described(element, name)} is {_shown(child)}, expected a whole number.")
    return int(value)


def numbers(element: Element, name: str, default: Any = _REQUIRED, *, count: int | None = None) -> Any:
    """All numbers of a property as a tuple, `count` of them if given.

    Brackets around them are passed over, as are commas after which a blank follows; a comma between two digits is
    refused, since it may be meant as a decimal point.
    """
    child = element.find(name)
    if child is None:
        return _absent(element, name, default, f"{count} numbers" if count else "numbers")
    values = []
    stated = (child.text or "").strip()
    inner = re.fullmatch(r"~?\s*[(\[](.*)[)\]]", stated, re.DOTALL)
    words = inner.group(1).replace(",", " ") if inner else re.sub(r",(?=\s|$)", " ", stated)
    for word in words.split():
        value = parse_number(word)
        if value is None:
            raise FileFormatError(
                f"{described(element, name)} is {_shown(child)}, where {word!r} is not a number. Correct it."
                f"{_comma(child)}"
            )
        values.append(value)
    if count is not None and len(values) != count:
        raise FileFormatError(
            f"{described(element, name)} is {_shown(child)}, {len(values)} numbers where {count} are expected."
            f"{_comma(child)}"
        )
    return tuple(values)


def vector3(element: Element, name: str, default: Any = _REQUIRED) -> Any:
    """Three finite numbers, as a tuple (x, y, z)."""
    found = numbers(element, name, default, count=3)
    child = element.find(name)
    if child is not None and not all(math.isfinite(one) for one in found):
        raise FileFormatError(
            f"{described(element, name)} is {_shown(child)}, expected three finite numbers. Correct it."
        )
    return found


def flag(element: Element, name: str, default: Any = _REQUIRED, *, digits: bool = True) -> Any:
    """true or false, in any case; with `digits` also 1 or 0.

    In models OpenSim takes 1 as true, in the set-up files of Scale, Inverse Dynamics and Analyze as false: there
    `digits` is False and such a file is refused.
    """
    child = element.find(name)
    if child is None:
        return _absent(element, name, default, "true or false")
    value = {"true": True, "1": True, "false": False, "0": False}.get((child.text or "").strip().lower())
    if value is None:
        raise FileFormatError(f"{described(element, name)} is {_shown(child)}, expected true or false.")
    if not digits and (child.text or "").strip() == "1":
        raise FileFormatError(
            f"{described(element, name)} is '1', which OpenSim reads as false here. Write true or false."
        )
    return value


def words(element: Element, name: str, default: Any = _REQUIRED) -> Any:
    """A list of names separated by blanks, as a tuple."""
    child = element.find(name)
    if child is None:
        return _absent(element, name, default, "names")
    return tuple((child.text or "").split())


def objects(element: Element | None) -> list[Element]:
    """The objects of a set: the children of its `<objects>`, in their order; none where the set is absent or empty."""
    if element is None:
        return []
    holder = element.find("objects")
    return list(holder) if holder is not None else []


def groups(element: Element | None) -> dict[str, tuple[str, ...]]:
    """The groups of a set: name to the names of its members."""
    if element is None:
        return {}
    holder = element.find("groups")
    found = {}
    for one in holder if holder is not None else ():
        found[name_of(one)] = words(one, "members", ())
    return found


def linked(element: Element, read: Callable[[Path], None] | None = None) -> Element:
    """The object itself or, where it is only `<IKTaskSet file="tasks.xml"/>`, the object of that kind in that file.

    The file is looked for beside the file that names it. `read` is called with its path, for the record of inputs.
    """
    named = (element.get("file") or "").strip()
    if not named:
        return element
    path = Path(named.replace("\\", "/"))
    if not path.is_absolute():
        path = Path(getattr(element, "path", "") or ".").parent / path
    if not path.is_file():
        near = nearest_names(path.name, _names_in(path.parent))
        raise FileFormatError(
            f"{described(element)} refers to the file {named!r}; {path} does not exist{near}. "
            "Correct the attribute 'file' or put the file there."
        )
    document = apply_defaults(read_document(path, oldest=OLDEST_SETUP, expected=element.tag))
    if read is not None:
        read(path)
    return document.root


def unread(element: Element, known: Iterable[str]) -> tuple[str, ...]:
    """Names of the object's properties that are not among `known`, in the order of the file, and of repeated ones."""
    known = set(known)
    seen: dict[str, int] = {}
    for child in element:
        seen[child.tag] = seen.get(child.tag, 0) + 1
    result = []
    for tag, times in seen.items():
        if tag not in known:
            result.append(tag)
        elif times > 1:
            result.append(f"{tag} (given {times} times; the first is read)")
    return tuple(result)


def parse_number(word: str) -> float | None:
    """One number as OpenSim or a Windows program writes it; None if the word is none."""
    lowered = word.lower()
    known = _SPELLINGS.get(lowered)
    if known is not None:
        return known
    if "_" in word:  # Python would take 1_000
        return None
    try:
        return float(word)
    except ValueError:
        pass
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)d[+-]?\d+", lowered):  # Fortran's double precision
        return float(lowered.replace("d", "e"))
    return None


_SPELLINGS = {
    "1.#inf": math.inf,
    "+1.#inf": math.inf,
    "-1.#inf": -math.inf,
    "1.#qnan": math.nan,
    "-1.#qnan": math.nan,
    "1.#ind": math.nan,
    "-1.#ind": math.nan,
}


def _absent(element: Element, name: str, default: Any, wanted: str) -> Any:
    if default is not _REQUIRED:
        return default
    near = nearest_names(name, [child.tag for child in element])
    raise FileFormatError(f"{described(element, name)} is missing{near}, expected {wanted}. Add it to the file.")


def _shown(child: Element) -> str:
    value = " ".join((child.text or "").split())
    if not value:
        return "empty"
    return repr(value if len(value) <= 60 else value[:57] + "...")


def _comma(child: Element) -> str:
    return " Write decimals with a point, not a comma." if "," in (child.text or "") else ""


def iterate(element: Element, tag: str) -> Iterator[Element]:
    """Every element of that tag below `element`, in the order of the file, those in `<defaults>` left out."""
    for child in element:
        if child.tag == "defaults":
            continue
        if child.tag == tag:
            yield child
        yield from iterate(child, tag)
