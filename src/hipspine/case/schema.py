"""This file answers: what may stand in a `case.toml`, in which unit, within which limits?

The only owner of the schema: reading, checking, templates and docs/case.md all follow these tables. A case has sections
of single answers (`person`, `setting`, `history`), lists of measured values (`measures`, `posture`, `strength`,
`ranges`, `foot`, `spinopelvic`), a list of examination findings, and lists that say where recordings, images and visits
are. A missing key means "not asked" or "not measured", never "no".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SCHEMA_VERSION = 1  # grows when a key changes its meaning; new keys alone do not change it

Kind = Literal["text", "yes/no", "number", "integer", "date", "choice", "choices"]


@dataclass(frozen=True)
class Key:
    """One key of a section: its kind, its limits and the words that explain it."""

    name: str
    kind: Kind
    help: str
    choices: tuple[str, ...] = ()
    low: float = float("-inf")
    high: float = float("inf")
    unit: str = ""
    required: bool = False


@dataclass(frozen=True)
class Method:
    """How a quantity is measured, and the standard error of one reading done that way."""

    name: str
    standard_error: float | None  # in the quantity's first unit; None: not known for this method
    source: str  # a claim of the evidence register, or "assumed" with the reason
    rank: int = 1  # 1 is better than 2; decides which of two contradicting methods is used


@dataclass(frozen=True)
class Quantity:
    """Something measured: units it may be given in, limits in the first unit, whether it has a side."""

    name: str
    units: tuple[str, ...]
    low: float
    high: float
    sided: bool
    help: str
    methods: tuple[Method, ...] = ()
    side_means: str = "the side measured"
    quick: str = ""  # how it is done in a quick visit; empty: not among the quick measures


SIDES = ("left", "right", "both", "midline")
ONE_SIDE = ("left", "right")
RESULTS = ("positive", "negative", "not done")

REGIONS = (
    "low back", "midline low back", "upper back", "buttock", "groin", "lateral hip", "anterior thigh", "lateral thigh",
    "posterior thigh", "medial thigh", "knee", "below knee", "foot", "abdomen",
)  # fmt: skip
ACTIVITIES = (
    "sitting", "standing", "walking", "lying", "bending forward", "bending backward", "stairs", "squatting",
    "lifting", "turning in bed", "lying on the side", "coughing", "exercise", "rest", "rising from sitting",
)  # fmt: skip
SETTINGS = ("primary care", "spine clinic", "interventional clinic", "emergency department", "hip clinic")
SOURCES = (
    "hip joint", "trochanteric pain", "sacroiliac joint", "nerve root", "deep gluteal", "stenosis", "disc", "facet",
)  # fmt: skip


def _yes(name: str, help: str) -> Key:
    return Key(name, "yes/no", help)


# Asked at every visit before anything else. `emergency` keys: without an answer there is no plan, only the question.
SAFETY: tuple[Key, ...] = (
    _yes("saddle_numbness", "Numb or changed feeling between the legs, around the back passage or the genitals?"),
    _yes("bladder_change", "New trouble starting or holding urine, or no feeling of passing it?"),
    _yes("bowel_change", "New loss of control of the bowel, or no feeling of passing stool?"),
    _yes("both_legs_weak_or_numb", "New weakness, numbness or pain in both legs at once?"),
    _yes("weakness_getting_worse", "A leg or foot that is getting weaker over hours or days?"),
    _yes("fever_or_unwell", "Fever, shivering, or feeling severely ill with this pain?"),
    _yes("major_trauma", "A fall from a height, a road accident or another heavy blow before the pain began?"),
    _yes("cannot_bear_weight", "Suddenly unable to stand on one leg because of hip or groin pain?"),
    _yes("collapse_or_tearing_pain", "Sudden tearing back or belly pain, fainting, or a pulsing lump in the belly?"),
    _yes("sexual_numbness", "New loss of feeling or function during sex?"),
    _yes("minor_trauma", "A slip, trip or other slight knock before the pain began?"),
    _yes("steroids", "Steroid tablets for months, now or in the past?"),
    _yes("osteoporosis", "Osteoporosis, or a bone broken by a slight fall?"),
    _yes("bruise_over_spine", "A bruise or graze over the spine (look)?"),
    _yes("past_cancer", "Ever had cancer?"),
    _yes("weight_loss", "Losing weight without meaning to?"),
    _yes("night_pain", "Pain that wakes at night and does not ease with a change of position?"),
    _yes("recent_infection", "An infection, an operation or an injection near the spine in the last months?"),
    _yes("immune_weakness", "Weak defences: HIV, transplant, chemotherapy, diabetes out of control, drugs by needle?"),
    _yes("morning_stiffness_30_min", "Stiff for more than half an hour on waking?"),
    _yes("better_with_exercise_not_rest", "Better with exercise and not with rest?"),
    _yes("wakes_second_half_of_night", "Woken by back pain in the second half of the night?"),
    _yes("alternating_buttock_pain", "Buttock pain that changes sides?"),
    _yes("psoriasis_uveitis_bowel_disease", "Psoriasis, inflamed eye or inflammatory bowel disease, self or family?"),
    _yes("vascular_risk", "Smoking, high blood pressure, known aneurysm or blocked arteries?"),
    _yes("alcohol_excess", "Heavy drinking over years?"),
    _yes("sudden_load_increase", "Running, marching or training increased much in the last weeks?"),
    _yes("pregnant", "Pregnant, or gave birth within the last six months?"),
    _yes("recent_surgery", "Operated on spine, pelvis or hip within the last six months?"),
    _yes("implant", "Hip replacement, spinal rods or screws, or another implant in the region?"),
)  # fmt: skip
EMERGENCY = (
    "saddle_numbness", "bladder_change", "bowel_change", "both_legs_weak_or_numb", "weakness_getting_worse",
    "fever_or_unwell", "major_trauma", "cannot_bear_weight", "collapse_or_tearing_pain", "sexual_numbness",
)  # fmt: skip

PERSON: tuple[Key, ...] = (
    Key("id", "text", "A pseudonym or number; names are better kept elsewhere."),
    Key("sex", "choice", "Sex, for norms and scaling.", ("female", "male")),
    Key("age", "number", "Age.", low=0, high=120, unit="years"),
    Key("occupation", "text", "Work."),
    Key("hours_standing", "number", "Hours a day standing.", low=0, high=24, unit="hours"),
    Key("hours_sitting", "number", "Hours a day sitting.", low=0, high=24, unit="hours"),
    Key("hours_walking", "number", "Hours a day walking.", low=0, high=24, unit="hours"),
)
SETTING: tuple[Key, ...] = (
    Key("kind", "choice", "Where the person is seen; it sets the starting frequencies.", SETTINGS),
)
HISTORY: tuple[Key, ...] = (
    Key("onset", "choice", "How it began.", ("fall", "twist", "lifting", "gradual", "sudden", "unknown")),
    Key("duration_weeks", "number", "How long it has lasted.", low=0, high=5200, unit="weeks"),
    Key("worst_place", "choice", "Where it hurts most.", REGIONS),
    Key("pain_left", "choices", "Places that hurt on the left.", REGIONS),
    Key("pain_right", "choices", "Places that hurt on the right.", REGIONS),
    Key("pain_midline", "choices", "Places that hurt in the middle.", REGIONS),
    Key("no_pain_in", "choices", "Places asked about that do not hurt on either side.", REGIONS),
    _yes("leg_worse_than_back", "Is the leg worse than the back?"),
    _yes("tingling_in_leg", "Numbness or tingling in the leg?"),
    Key("worse_with", "choices", "What makes it worse.", ACTIVITIES),
    Key("not_worse_with", "choices", "What was asked about and does not make it worse.", ACTIVITIES),
    Key("eases_with", "choices", "What eases it.", ACTIVITIES),
    Key("not_eased_by", "choices", "What was asked about and does not ease it.", ACTIVITIES),
    _yes("no_pain_when_seated", "Free of pain while seated?"),
    _yes("leg_pain_on_walking_eases_on_sitting",
         "Leg pain or heaviness on walking or standing that sitting or bending forward takes away?"),
    _yes("family_hip_arthritis", "Hip arthritis in parents, brothers or sisters?"),
    _yes("knee_arthritis", "Arthritis of the knee?"),
    Key("medication", "text", "Medicines."),
    Key("surgery", "text", "Past operations."),
    Key("notes", "text", "Anything in the person's or the clinician's own words; read for signs of danger too."),
)  # fmt: skip
CARE: tuple[Key, ...] = (
    Key("kind", "choice", "What was done.",
        ("manual therapy", "exercise", "injection", "medication", "education", "other"), required=True),
    Key("name", "text", "Which, in words."),
    Key("from", "date", "First day."),
    Key("to", "date", "Last day."),
    Key("sessions_planned", "integer", "Sessions planned.", low=0, high=1000),
    Key("sessions_attended", "integer", "Sessions attended.", low=0, high=1000),
    Key("dose", "text", "Dose, load or minutes."),
    Key("result", "choice", "What came of it.", ("better", "same", "worse", "unknown")),
    Key("side", "choice", "Side treated.", SIDES),
    Key("relief_percent", "number", "Relief after an injection of anaesthetic.", low=0, high=100, unit="%"),
)  # fmt: skip
OVERRIDES: tuple[Key, ...] = (
    Key("flag", "text", "Row of the safety gate that a professional sets aside.", required=True),
    Key("name", "text", "Who decides.", required=True),
    Key("role", "text", "As what."),
    Key("reason", "text", "Why, in a sentence.", required=True),
    Key("date", "date", "When.", required=True),
)
PRIORS: tuple[Key, ...] = (
    Key("source", "choice", "Which source.", SOURCES, required=True),
    Key("low", "number", "Lowest share the clinic holds possible.", low=0.1, high=95, unit="%", required=True),
    Key("high", "number", "Highest share the clinic holds possible.", low=0.1, high=95, unit="%", required=True),
    Key("reason", "text", "Where the figures come from.", required=True),
)
FINDING: tuple[Key, ...] = (
    Key("id", "text", "Which test, from the vocabulary below.", required=True),
    Key("side", "choice", "Side on which it is felt or seen.", SIDES),
    Key("result", "choice", "What came of it; leave the test out, or say 'not done', when it was not done.", RESULTS,
        required=True),
    Key("value", "number", "Reading, where the test has one."),
    Key("unit", "text", "Unit of the reading."),
    Key("standard_error", "number", "Standard error of the reading.", low=0),
    Key("examiner", "text", "Initials."),
    Key("date", "date", "Day of the test."),
    _yes("knew_the_images", "Did the examiner know the images?"),
    Key("note", "text", "A remark; read for signs of danger too."),
)  # fmt: skip
MEASURED: tuple[Key, ...] = (
    Key("what", "text", "Which quantity, from the table of the section.", required=True),
    Key("value", "number", "The reading.", required=True),
    Key("unit", "text", "Its unit.", required=True),
    Key("side", "choice", "Side, where the quantity has one.", SIDES),
    Key("method", "text", "How it was measured."),
    Key("standard_error", "number", "Standard error in the same unit; without it the method's is taken.", low=0),
    Key("position", "text", "Position of the person."),
    Key("examiner", "text", "Initials."),
    Key("date", "date", "Day of the measurement."),
    Key("note", "text", "A remark."),
)
INSTRUMENT: tuple[Key, ...] = (
    Key("name", "choice", "Which questionnaire.",
        ("RMDQ", "NPRS", "PSFS", "ODI", "HOOS", "STarT Back", "PROMIS", "other"), required=True),
    Key("score", "number", "Total as its own manual says.", required=True),
    Key("date", "date", "Day it was filled."),
    Key("note", "text", "Version or remark."),
)  # fmt: skip
RECORDING: tuple[Key, ...] = (
    Key("file", "text", "Path inside the case folder.", required=True),
    Key("activity", "choice", "What was done.",
        ("standing", "walking", "sitting", "single-leg stance", "forward bend", "lifting", "squatting", "other")),
    Key("model", "text", "OpenSim model scaled to the person."),
    Key("forces", "text", "File of ground forces."),
    Key("date", "date", "Day of recording."),
    Key("note", "text", "A remark."),
)  # fmt: skip
IMAGE: tuple[Key, ...] = (
    Key("file", "text", "Path inside the case folder; empty when only the report is known."),
    Key("kind", "choice", "What it is.", ("X-ray", "MRI", "CT", "ultrasound", "bone scan", "other"), required=True),
    Key("region", "text", "What it shows."),
    Key("date", "date", "Day of the image."),
    Key("reads", "text", "What its report says, in words."),
)
VISIT: tuple[Key, ...] = (
    Key("date", "date", "Day of the visit.", required=True),
    Key("examiner", "text", "Initials."),
    Key("notes", "text", "What was said and seen; read for signs of danger too."),
)


def _q(name, units, low, high, help, *methods, sided=False, side_means="the side measured", quick="") -> Quantity:
    rows = tuple(Method(*one) for one in methods)
    return Quantity(name, tuple(units), low, high, sided, help, rows, side_means, quick)


_LENGTH = ("mm", "cm", "m", "in")
_STRENGTH = ("N", "kgf", "lbf", "Nm", "Nm/kg", "N/kg", "grade", "%BW")
_HHD = ("hand-held dynamometer", None, "assumed: depends on position and strap; give the clinic's own")
_MMT = ("manual grade", 1.0, "assumed: one grade, since neighbouring grades are hard to tell apart", 2)
_GONIO = ("goniometer", 5.0, "assumed: usual size in clinics; give the clinic's own")
_INCL = ("inclinometer", 3.0, "assumed: usual size in clinics; give the clinic's own")
_XRAY_ANGLE = ("X-ray", 3.0, "assumed: landmark placement on a standing film")

QUANTITIES: dict[str, tuple[Quantity, ...]] = {
    "measures": (
        _q("height", ("cm", "m", "mm", "in"), 100, 230, "Standing height without shoes.",
           ("stadiometer", 0.5, "assumed: reading error"), ("told", 2.0, "assumed: people round up", 2),
           quick="wall and book"),
        _q("mass", ("kg", "lb"), 25, 300, "Body mass.", ("scale", 0.5, "assumed: clothes and scale"),
           ("told", 2.0, "assumed: people round down", 2), quick="bathroom scale"),
        _q("leg_length_difference", ("mm", "cm", "in"), 0, 60, "Difference of leg length; the side is the short leg.",
           ("standing X-ray", 1.0, "assumed: reading of a standing full-length film"),
           ("blocks", 3.0, "assumed from LLD-023 and LLD-025: agreement 0.74, bias 2 mm", 2),
           ("tape", 5.0, "assumed from LLD-026 and LLD-028: bias 5 mm, wrong side in 7 of 20", 3),
           sided=True, side_means="the short leg",
           quick="blocks of 5 mm under the short leg until the crests are level"),
        _q("leg_length", _LENGTH, 500, 1300, "Front pelvic spine to inner ankle.",
           ("tape", 5.0, "assumed from LLD-026", 3), ("standing X-ray", 1.0, "assumed: reading of the film"),
           sided=True),
        _q("weight_on_foot", ("kg", "lb", "N", "%"), 0, 300, "Weight on one foot in quiet stance, a scale under each.",
           ("two scales", 1.0, "assumed: sway during reading"), sided=True,
           quick="a bathroom scale under each foot, eyes ahead, read both"),
        _q("foot_length", _LENGTH, 180, 350, "Heel to longest toe.", ("tape", 3.0, "assumed: reading error"),
           sided=True),
        _q("thigh_length", _LENGTH, 250, 600, "Greater trochanter to knee line.", ("tape", 10.0, "assumed: landmarks"),
           sided=True),
        _q("shank_length", _LENGTH, 250, 600, "Knee line to outer ankle.", ("tape", 10.0, "assumed: landmarks"),
           sided=True),
        _q("pelvis_width", _LENGTH, 150, 400, "Between the front pelvic spines.",
           ("caliper", 5.0, "assumed: soft tissue")),
        _q("trunk_length", _LENGTH, 300, 700, "Top of sacrum to seventh neck vertebra.",
           ("tape", 10.0, "assumed: landmarks")),
        _q("waist_girth", ("cm", "mm", "m", "in"), 40, 200, "Around the waist.",
           ("tape", 1.0, "assumed: reading error")),
        _q("carried_mass", ("kg", "lb"), 0, 100, "Load usually carried; say where in the note.",
           ("scale", 0.5, "assumed: reading error")),
    ),
    "posture": (
        _q("pelvic_obliquity", ("deg", "rad"), 0, 30,
           "Tilt of the pelvis in the frontal plane; the side is the lower one.",
           _INCL, sided=True, side_means="the lower side", quick="inclinometer across the crests"),
        _q("pelvis_tilt_gait", ("deg", "rad"), -30, 50,
           "Line from back to front pelvic spines against level, down in front +.",
           _INCL, quick="inclinometer on front and back pelvic spine"),
        _q("trunk_lean_forward", ("deg", "rad"), -30, 60, "Lean of the trunk forward +.", _INCL),
        _q("trunk_shift", ("mm", "cm", "in"), 0, 150, "Plumb line from the seventh neck vertebra to the crease.",
           ("plumb line", 5.0, "assumed: sway"), sided=True, side_means="the side the trunk is shifted to"),
        _q("lumbar_lordosis", ("deg", "rad"), -30, 100, "Skin angle L1 to S1, hollow +.", _INCL),
        _q("thoracic_kyphosis", ("deg", "rad"), -10, 110, "Skin angle T1 to T12, round +.", _INCL),
        _q("scoliosis", ("deg", "rad"), 0, 120, "Largest curve by Cobb; the side is the convex one.", _XRAY_ANGLE,
           sided=True, side_means="the convex side"),
        _q("knee_flexion_standing", ("deg", "rad"), -20, 60, "Knee bend while standing, bent +.", _GONIO, sided=True),
        _q("foot_progression", ("deg", "rad"), -40, 60, "Foot turned out + while standing.", _GONIO, sided=True),
    ),
    "strength": tuple(
        _q(name, _STRENGTH, 0, 2500, help, _HHD, _MMT, sided=sided,
           quick="dynamometer or grade, same position on both sides"
           if name in ("hip_abduction", "hip_extension") else "")
        for name, sided, help in (
            ("hip_abduction", True, "Gluteus medius and minimus."), ("hip_extension", True, "Gluteus maximus."),
            ("hip_flexion", True, "Hip flexors."), ("hip_adduction", True, "Adductors."),
            ("hip_external_rotation", True, "Deep rotators."), ("hip_internal_rotation", True, "Internal rotators."),
            ("knee_extension", True, "Quadriceps."), ("knee_flexion", True, "Hamstrings."),
            ("ankle_dorsiflexion", True, "Shin muscles (L4, L5)."), ("ankle_plantarflexion", True, "Calf (S1)."),
            ("great_toe_extension", True, "Long toe extensor (L5)."), ("trunk_flexion", False, "Abdominal muscles."),
            ("trunk_extension", False, "Back muscles."), ("trunk_side_bend", True, "Side muscles."),
        )
    ),
    "ranges": tuple(
        _q(name, ("deg", "rad"), low, high, help, *methods, sided=sided, quick=quick)
        for name, low, high, sided, help, methods, quick in (
            ("hip_extension", -60, 60, True, "Thigh behind the trunk's line +, a flexion contracture is negative.",
             (("modified Thomas, pelvis held", 5.0, "assumed; r 0.98 with motion capture: GLU-036"),
              ("modified Thomas", 11.0, "GLU-039", 2)), "Thomas position, pelvis held flat"),
            ("hip_flexion", 0, 160, True, "Knee to chest.", (_GONIO,), ""),
            ("hip_internal_rotation", -30, 90, True, "Shin turned outwards.", (_INCL, _GONIO),
             "prone, knee bent 90 degrees"),
            ("hip_external_rotation", -30, 100, True, "Shin turned inwards.", (_INCL, _GONIO), ""),
            ("hip_abduction", -20, 90, True, "Leg outwards.", (_GONIO,), ""),
            ("hip_adduction", -20, 60, True, "Leg inwards.", (_GONIO,), ""),
            ("straight_leg_raise", 0, 130, True, "Straight leg raised, end of range.", (_INCL,), ""),
            ("popliteal_angle", 0, 120, True, "Knee short of straight with the hip at 90 degrees.", (_GONIO,), ""),
            ("knee_extension", -40, 20, True, "Straight 0, over-straight +.", (_GONIO,), ""),
            ("ankle_dorsiflexion", -30, 60, True, "Foot upwards.", (_GONIO,), ""),
            ("lumbar_flexion", 0, 100, False, "Skin angle T12 to S1, full bend.", (_INCL,), ""),
            ("lumbar_extension", 0, 70, False, "Skin angle T12 to S1, full arch.", (_INCL,), ""),
            ("lumbar_side_bend", 0, 60, True, "Towards the side named.", (_INCL,), ""),
        )
    ),
    "foot": (
        _q("foot_posture_index", ("points",), -12, 12, "Six observations of the foot, flat +.",
           ("observed", 1.0, "assumed; weighted kappa 0.92: GLU-051"), sided=True, quick="six looks at each foot"),
        _q("navicular_drop", ("mm", "cm", "in"), 0, 40, "Fall of the navicular from sitting to standing.",
           ("ruler", 2.0, "assumed; weighted kappa 0.40: GLU-052"), sided=True),
        _q("heel_eversion", ("deg", "rad"), -20, 30, "Heel turned outwards + while standing.", _GONIO, sided=True),
    ),
    "spinopelvic": (
        _q("pelvic_incidence", ("deg", "rad"), 20, 100, "PI, on a side view.", _XRAY_ANGLE),
        _q("pelvic_tilt_radiographic", ("deg", "rad"), -20, 60, "PT, on a standing side view.", _XRAY_ANGLE),
        _q("sacral_slope", ("deg", "rad"), -10, 80, "SS, on a standing side view.", _XRAY_ANGLE),
        _q("sacral_slope_sitting", ("deg", "rad"), -40, 80, "SS, on a sitting side view.", _XRAY_ANGLE),
        _q("lumbar_lordosis_radiographic", ("deg", "rad"), -30, 110, "LL, L1 to S1, hollow +.", _XRAY_ANGLE),
        _q("sagittal_vertical_axis", ("mm", "cm", "in"), -150, 300, "C7 plumb line ahead of the sacrum +.",
           ("X-ray", 5.0, "assumed: landmark placement")),
        _q("femoral_version", ("deg", "rad"), -40, 70, "Neck turned forward +.",
           ("CT", 3.0, "assumed"), ("MRI", 4.0, "assumed"), ("Craig's test", 8.0, "assumed", 2), sided=True),
        _q("centre_edge_angle", ("deg", "rad"), -30, 70, "Cover of the hip socket.", _XRAY_ANGLE, sided=True),
        _q("alpha_angle", ("deg", "rad"), 20, 120, "Roundness of the femoral head.", _XRAY_ANGLE, sided=True),
        _q("neck_shaft_angle", ("deg", "rad"), 90, 170, "Femoral neck against shaft.", _XRAY_ANGLE, sided=True),
    ),
}  # fmt: skip
# The muscle test grade has its own limits, whatever the group.
GRADE_LIMITS = (0.0, 5.0)


@dataclass(frozen=True)
class Section:
    """One section of the file: a table of single answers, or a list of tables."""

    name: str
    keys: tuple[Key, ...]
    help: str
    is_list: bool = False


SECTIONS: tuple[Section, ...] = (
    Section("person", PERSON, "Who, without a name."),
    Section("setting", SETTING, "Where the person is seen."),
    Section("setting.priors", PRIORS, "The clinic's own starting frequencies, instead of published ones.", True),
    Section("history", HISTORY, "What the person tells."),
    Section("history.safety", SAFETY, "Questions about danger; asked again at every visit."),
    Section("history.care", CARE, "Care so far, counted and dated.", True),
    Section("history.instruments", INSTRUMENT, "Scores of questionnaires.", True),
    Section("history.overrides", OVERRIDES, "Flags that a professional set aside, with name and reason.", True),
    Section("findings", FINDING, "What the examination showed.", True),
    Section("measures", MEASURED, "Body measures.", True),
    Section("posture", MEASURED, "How the person stands.", True),
    Section("strength", MEASURED, "Muscle strength; grade 0 to 5, or force with its position.", True),
    Section("ranges", MEASURED, "Ranges of motion.", True),
    Section("foot", MEASURED, "The foot under weight.", True),
    Section("spinopelvic", MEASURED, "Angles read from images by a person.", True),
    Section("recordings", RECORDING, "Recorded movement.", True),
    Section("images", IMAGE, "Images, or what their reports say.", True),
    Section("visits", VISIT, "Later visits, each with `safety` answers and `findings` of its own.", True),
)
BY_NAME = {one.name: one for one in SECTIONS}
MEASURED_SECTIONS = tuple(QUANTITIES)


def quantity(section: str, name: str) -> Quantity | None:
    """The quantity of that name in a section of measured values, or None."""
    return next((one for one in QUANTITIES[section] if one.name == name), None)
