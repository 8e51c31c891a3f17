"""This file answers: which muscles of a model work together, under the names that clinicians use?"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hipspine.report.joint_loads import plain_name

# Group -> pattern of muscle names without side: Gait2392, Gait2354, gait10dof, Rajagopal 2016, full-body lumbar spine.
GROUPS = (
    ("Back extensors", r"ercspn|erector\w*|mult\w*|ltp[tl]\w*|il_\w*|ql_\w*|mf_\w*"),
    ("Abdominal muscles", r"(int|ext)_?obl\w*|rect_?abd\w*|io\d*|eo\d*"),
    ("Hip flexors (iliopsoas)", r"iliacus|psoas|iliopsoas|ps_\w*"),
    ("Rectus femoris", r"rect_?fem|recfem"),
    ("Hip extensors (gluteus maximus)", r"gl(ut_?)?_?max\d*"),
    ("Hip abductors (glut. med., min., TFL)", r"gl(ut_?)?_?(med|min)\d*|tfl"),
    ("Hip adductors", r"add_?(long|brev|mag)\w*|grac\w*|pect\w*"),
    ("Deep hip rotators", r"quad_?fem|gem\w*|p[ei]ri\w*"),
    ("Hamstrings", r"semimem|semiten|bifem_?lh|bflh\w*|hamstrings"),
    ("Knee flexors (biceps short, sartorius)", r"bifem_?sh|bfsh\w*|sart?\w*"),
    ("Knee extensors (vasti)", r"vas_?(med|int|lat)\w*|vasti"),
    ("Gastrocnemius", r"(med|lat)_?gas\w*|gas_?(med|lat)\w*|gastroc\w*"),
    ("Soleus", r"soleus"),
    ("Ankle dorsiflexors", r"tib_?ant|ext_?(dig|hal)|e[dh]l|per_?tert"),
    ("Deep plantarflexors and invertors", r"tib_?post|flex_?(dig|hal)|f[dh]l"),
    ("Ankle evertors (peronei)", r"per_?(brev|long)"),
)
OTHERS = "Other muscles"


def muscle_groups(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Group -> its muscles in the order of the model; muscles that no pattern knows come last, under `OTHERS`."""
    found: dict[str, list[str]] = {}
    for name in names:
        plain = plain_name(name)
        group = next((title for title, pattern in GROUPS if re.fullmatch(pattern, plain)), OTHERS)
        found.setdefault(group, []).append(name)
    order = [title for title, _ in GROUPS] + [OTHERS]
    return {title: tuple(found[title]) for title in order if title in found}
