"""This file answers: to which body, and where on it, does a frame named in an .osim file belong?

OpenSim names frames by paths (`/bodyset/pelvis`, `/jointset/hip_r/pelvis_offset`, `../femur_r`, or a bare name that the
owner knows). Offset frames may sit on other offset frames; here every frame is reduced to its body.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

import numpy as np

from hipspine.errors import FileFormatError, nearest_names
from hipspine.formats.opensim_xml import described, name_of, objects, vector3
from hipspine.model.records import GROUND, Frame, Vec3
from hipspine.spatial import angles_xyz, rotation_xyz


def socket(element: Element, name: str) -> str | None:
    """What a socket is connected to, in any of the spellings used since document version 30500."""
    for tag in (f"socket_{name}", f"socket_{name}_connectee_name"):
        child = element.find(tag)
        if child is not None:
            return (child.text or "").strip()
    connectors = element.find("connectors")
    if connectors is not None:
        for one in connectors:
            if one.get("name") == name:
                return (one.findtext("connectee_name") or "").strip()
    return None


class FrameBook:
    """All frames of a file, by path. Built once from the `<Model>` element."""

    def __init__(self, model: Element) -> None:
        self._frames: dict[str, Frame] = {"/ground": Frame(GROUND)}
        self._offsets: dict[str, Element] = {}
        self._file = model
        for body in objects(model.find("BodySet")):
            name = name_of(body)
            self._frames[f"/bodyset/{name}"] = Frame(name)
            self._note(body, f"/bodyset/{name}")
        ground = model.find("Ground")
        if ground is not None:
            self._note(ground, "/ground")
        for joint in objects(model.find("JointSet")):
            self._note(joint, f"/jointset/{name_of(joint)}")
        self._note(model, "")
        for holder in ("ForceSet", "ConstraintSet", "ComponentSet"):
            for one in objects(model.find(holder)):
                self._note(one, f"/{holder.lower()}/{name_of(one)}")
        for path in list(self._offsets):
            self._resolve(path, ())

    def _note(self, owner: Element, path: str) -> None:
        for holder in ("frames", "components"):
            block = owner.find(holder)
            for one in block if block is not None else ():
                if one.tag in ("PhysicalOffsetFrame", "OffsetFrame_PhysicalFrame_"):
                    self._offsets[f"{path}/{name_of(one)}"] = one
                    self._note(one, f"{path}/{name_of(one)}")

    def _resolve(self, path: str, trail: tuple[str, ...]) -> Frame:
        if path in self._frames:
            return self._frames[path]
        element = self._offsets[path]
        if path in trail:
            raise FileFormatError(f"{described(element)} is an offset of itself. Give it a body as parent.")
        parent_name = socket(element, "parent")
        parent_path = self._path_of(parent_name or "..", path, element)
        parent = self._resolve(parent_path, (*trail, path))
        translation = vector3(element, "translation", (0.0, 0.0, 0.0))
        orientation = vector3(element, "orientation", (0.0, 0.0, 0.0))
        self._frames[path] = placed(parent, translation, orientation, name_of(element))
        return self._frames[path]

    def _path_of(self, name: str, owner_path: str, element: Element) -> str:
        known = self._frames.keys() | self._offsets.keys()
        candidates = []
        if name.startswith("/"):
            candidates.append(name)
        else:
            base = owner_path
            while True:
                candidates.append(_normal(f"{base}/{name}"))
                if not base:
                    break
                base = base.rpartition("/")[0]
        for candidate in candidates:
            if candidate in known:
                return candidate
        last = name.rpartition("/")[2]
        same = [path for path in known if path.rpartition("/")[2] == last]
        bodies = [path for path in same if path == "/ground" or (path.startswith("/bodyset/") and path.count("/") == 2)]
        if len(bodies) == 1:
            return bodies[0]
        if len(same) == 1:
            return same[0]
        near = nearest_names(last, [path.rpartition("/")[2] for path in known])
        raise FileFormatError(
            f"{described(element)} refers to frame '{name}', which the file does not define{near}. Mend the name."
        )

    def frame(self, name: str, owner_path: str, element: Element) -> Frame:
        """The frame that `name` means inside the object at `owner_path`."""
        return self._resolve(self._path_of(name, owner_path, element), ())

    def of_socket(self, element: Element, socket_name: str, owner_path: str, *old_tags: str) -> Frame:
        """The frame in a socket, or under one of the tags that stood for it before version 4."""
        name = socket(element, socket_name)
        for tag in old_tags:
            if name is None and element.find(tag) is not None:
                name = (element.findtext(tag) or "").strip()
        if not name:
            raise FileFormatError(
                f"{described(element)} is not connected to a frame (socket '{socket_name}'). Name a body there."
            )
        return self.frame(name, owner_path, element)


def placed(parent: Frame, translation: Vec3, orientation: Vec3, name: str) -> Frame:
    """A frame at an offset from another frame, reduced to the body."""
    if not any(parent.translation_B) and not any(parent.orientation_xyz):
        return Frame(parent.body, translation, orientation, name)
    R_BP = rotation_xyz(parent.orientation_xyz)
    p_B = np.array(parent.translation_B) + R_BP @ np.array(translation)
    angles = angles_xyz(R_BP @ rotation_xyz(orientation))
    return Frame(parent.body, (float(p_B[0]), float(p_B[1]), float(p_B[2])), angles, name)


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
