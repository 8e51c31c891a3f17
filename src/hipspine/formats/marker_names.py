"""This file answers: which body landmark does a marker's name mean, and which of the model's markers is it?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hipspine.errors import FileFormatError, UnknownName, nearest_names
from hipspine.motion.plate_hits import GaitMarkers

ALIKE = 0.75  # share of letters in common (difflib) from which two names may be one, misspelt

# Landmark -> spellings, without side, letters and digits only. Plug-in Gait, Cortex / Helen Hayes (OpenSim's examples),
# OpenCap, Rajagopal 2016 and ISB habits.
_SIDED: dict[str, tuple[str, ...]] = {
    "asis": ("asi", "asis"),
    "psis": ("psi", "psis"),
    "iliac_crest": ("iliaccrest", "ic", "crest"),
    "trochanter": ("gtr", "gt", "troch", "trochanter", "greatertrochanter"),
    "knee_lateral": ("kne", "knee", "kneelat", "kneelateral", "latknee", "kneeout", "lfc", "lfe", "lep"),
    "knee_medial": ("kneemed", "kneemedial", "medknee", "mknee", "kneein", "knein", "knem", "mfc", "mfe", "mep"),
    "ankle_lateral": ("ank", "ankle", "anklelat", "anklelateral", "latankle", "ankleout", "lmal", "mallat"),
    "ankle_medial": ("anklemed", "anklemedial", "medankle", "mankle", "ankin", "anklein", "ankm", "mmal", "malmed"),
    "heel": ("hee", "heel", "cal", "calc", "calcaneus", "fcc"),
    "toe": ("toe", "mt2", "2mt", "mtp2", "toetip", "dm2"),
    "metatarsal_1": ("mt1", "1mt", "toemed", "mtp1", "fm1", "dm1"),
    "metatarsal_5": ("mt5", "5mt", "5meta", "toelat", "mtp5", "fm5", "dm5", "5thmt"),
    "acromion": ("sho", "shoulder", "acromium", "acromion", "acr", "acro"),
    "elbow_lateral": ("elb", "elbow", "elbowlat", "lelbow", "elbowlateral"),
    "elbow_medial": ("elbowmed", "melbow", "elbowmedial", "elbm"),
}
_MIDDLE: dict[str, tuple[str, ...]] = {
    "sacrum": ("sacr", "sacrum", "sacral", "vsacral", "vsacr"),
    "c7": ("c7",),
    "t10": ("t10",),
    "clavicle": ("clav", "clavicle"),
    "sternum": ("strn", "sternum", "ster"),
    "head_top": ("tophead", "headtop", "vertex"),
}
_BY_SPELLING: dict[str, str] = {spelling: landmark for landmark, ways in _MIDDLE.items() for spelling in ways}
for _landmark, _ways in _SIDED.items():
    for _spelling in _ways:
        for _letter, _word in (("r", "right"), ("l", "left")):
            for _name in (_letter + _spelling, _word + _spelling, _spelling + _letter, _spelling + _word):
                _BY_SPELLING.setdefault(_name, f"{_landmark}_{_letter}")


def landmark_of(name: str) -> str | None:
    """Landmark a marker name means ("asis_r", "sacrum"), or None. `R.ASIS`, `RASI`, `r.ASIS_study` are one."""
    plain = re.sub(r"[^a-z0-9]", "", re.sub(r"(?i)[._ -]?(study|static)$", "", name).casefold())
    return _BY_SPELLING.get(plain)


def landmarks(names: Iterable[str]) -> dict[str, str]:
    """Landmark -> the first marker that means it."""
    found: dict[str, str] = {}
    for name in names:
        landmark = landmark_of(name)
        if landmark is not None:
            found.setdefault(landmark, name)
    return found


def gait_markers(names: Iterable[str]) -> GaitMarkers:
    """The markers of heels, toes and pelvis among `names`; a side that lacks one is left out of its table."""
    found = landmarks(names)
    sides = (("left", "l"), ("right", "r"))
    heel = {side: found[f"heel_{s}"] for side, s in sides if f"heel_{s}" in found}
    toe = {}
    for side, s in sides:
        for landmark in ("toe", "metatarsal_1", "metatarsal_5"):
            if f"{landmark}_{s}" in found:
                toe[side] = found[f"{landmark}_{s}"]
                break
    for group in (("asis_l", "asis_r"), ("psis_l", "psis_r"), ("sacrum",)):
        if all(one in found for one in group):
            return GaitMarkers(heel, toe, tuple(found[one] for one in group))
    return GaitMarkers(heel, toe)


def swapped_side(name: str, names: Iterable[str]) -> str:
    """The name among `names` that differs in its side alone (`R.ASIS` for `L.ASIS`), or the name itself."""
    known = set(names)
    for pattern in (r"^(R|L)", r"^(Right|Left)", r"(R|L)$", r"(Right|Left)$", r"(?<=[._ -])(R|L)(?=[._ -])"):
        for match in re.finditer(pattern, name, flags=re.IGNORECASE):
            word = match.group(1)
            other = {"r": "l", "l": "r", "right": "left", "left": "right"}[word.casefold()]
            other = other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other
            partner = name[: match.start(1)] + other + name[match.end(1) :]
            if partner in known:
                return partner
    return name


@dataclass(frozen=True)
class MarkerMatch:
    """How the markers of a trial answer to those of a model."""

    pairs: tuple[tuple[str, str], ...]  # (trial name, model name)
    reasons: tuple[str, ...]  # beside each pair: "same name", "map", "landmark asis_r"
    trial_only: tuple[str, ...]
    model_only: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the person should know: pairs made by meaning, and markers left over on each side."""
        told = [
            f"{trial!r} is taken for the model's {model!r} ({why})"
            for (trial, model), why in zip(self.pairs, self.reasons, strict=True)
            if why not in ("same name", "map")
        ]
        notes = [f"Markers: {'; '.join(told)}."] if told else []
        if self.trial_only:
            notes.append(f"Markers the model does not have: {', '.join(map(self._with_nearest, self.trial_only))}.")
        if self.model_only:
            notes.append(f"Markers of the model that the trial does not have: {', '.join(self.model_only)}.")
        return tuple(notes)

    def _with_nearest(self, name: str) -> str:
        """A marker of the trial, with the markers of the model that still wait and are spelt nearly so."""
        return f"{name}{nearest_names(name, self.model_only, cutoff=ALIKE)}"


def match_markers(trial: Iterable[str], model: Iterable[str], mapping: Mapping[str, str] | None = None) -> MarkerMatch:
    """Pair the markers of a trial with those of a model.

    In order: the person's map (trial name -> model name), the same name, the same name but for case, the same landmark.

    Raises
    ------
    UnknownName
        The map names a marker that is not there (the nearest are told), or nothing at all could be paired.
    """
    trial, model = tuple(trial), tuple(model)
    mapping = dict(mapping or {})
    for source, target in mapping.items():
        if source not in trial:
            raise UnknownName(
                f"The marker map names {source!r}, which the trial does not have{nearest_names(source, trial)}."
            )
        if target not in model:
            raise UnknownName(
                f"The marker map names {target!r}, which the model does not have{nearest_names(target, model)}."
            )
    pairs: list[tuple[str, str]] = []
    reasons: list[str] = []
    taken: set[str] = set()
    left = [name for name in trial]

    def pair(source: str, target: str, why: str) -> None:
        pairs.append((source, target))
        reasons.append(why)
        taken.add(target)
        left.remove(source)

    for source, target in mapping.items():
        if target in taken:
            raise UnknownName(f"The marker map gives two markers to the model's {target!r}.")
        pair(source, target, "map")
    for source in tuple(left):
        if source in model and source not in taken:
            pair(source, source, "same name")
    for same, why in ((str.casefold, "but for case"), (landmark_of, "landmark")):
        targets: dict[str, str] = {}
        for name in model:
            key = same(name)
            if name not in taken and key is not None:
                targets.setdefault(key, name)
        for source in tuple(left):
            key = same(source)
            if key is not None and key in targets and targets[key] not in taken:
                pair(source, targets[key], f"landmark {key}" if why == "landmark" else why)
    if not model:
        raise UnknownName("The model has no markers, so it cannot follow a trial. Add a MarkerSet to the model.")
    if not pairs:
        alike = [f"{name}{near}" for name in trial if (near := nearest_names(name, model, 1))][:3]
        raise UnknownName(
            f"No marker of the trial ({', '.join(trial[:6])} ...) is known to the model ({', '.join(model[:6])} ...)"
            f"{'; alike are ' + ', '.join(alike) if alike else ''}. Write a marker map and pass it with --markers."
        )
    return MarkerMatch(tuple(pairs), tuple(reasons), tuple(left), tuple(name for name in model if name not in taken))


def read_marker_map(path: str | Path) -> dict[str, str]:
    """Read a map from trial names to model names.

    TOML: `"LASI" = "L.ASIS"` per line, alone or under `[markers]`. CSV: two columns headed `trial,model`.

    Raises
    ------
    FileFormatError
        Not readable as either, or a name twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileFormatError(f"The marker map {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise FileFormatError(f"The marker map {path.name} is not text in UTF-8. Save it as CSV in UTF-8.") from None
    if path.suffix.casefold() == ".csv":
        rows = [
            [cell.strip() for cell in line.split(",")] for line in text.splitlines() if line.strip() and line[0] != "#"
        ]
        if not rows or [cell.casefold() for cell in rows[0]] != ["trial", "model"]:
            raise FileFormatError(f"{path.name} must begin with the line 'trial,model'.")
        result: dict[str, str] = {}
        for number, row in enumerate(rows[1:], 2):
            if len(row) != 2 or not all(row):
                raise FileFormatError(f"{path.name}, row {number}: expected two names, found {row}.")
            if row[0] in result:
                raise FileFormatError(f"{path.name}, row {number}: {row[0]!r} stands there twice.")
            result[row[0]] = row[1]
        return result
    import tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(f"{path.name} is not a TOML table of marker names: {error}.") from None
    table = data.get("markers", data)
    if not isinstance(table, dict) or not table or not all(isinstance(value, str) for value in table.values()):
        raise FileFormatError(f'{path.name} must hold lines such as "LASI" = "L.ASIS" (trial name = model name).')
    return dict(table)
