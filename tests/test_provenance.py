"""A result's provenance: the same inputs give the same record, byte for byte, and nothing of the moment gets in."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from hipspine.errors import FileFormatError
from hipspine.provenance import InputFile, Provenance, input_file, options_of

A, B = "a" * 64, "b" * 64


def record(**changes) -> Provenance:
    return replace(
        Provenance(
            code_version="0.1",
            inputs=(InputFile("walk.trc", B), InputFile("grf.mot", A)),
            model_name="subject01",
            model_sha256=A,
            evidence_version="2024.1",
            options=(("filter", 6.0), ("exponent", 2)),
            ignored=("controller", "probe"),
            warnings=("mended",),
        ),
        **changes,
    )


def test_record_does_not_depend_on_the_order_of_reading():
    one = record()
    other = record(
        inputs=(InputFile("grf.mot", A), InputFile("walk.trc", B), InputFile("grf.mot", A)),
        options=(("exponent", 2), ("filter", 6.0)),
    )
    assert one == other and one.to_json() == other.to_json() and one.sha256 == other.sha256


def test_record_changes_with_everything_it_names():
    changed = [
        record(code_version="0.2"),
        record(inputs=(InputFile("walk.trc", A),)),
        record(model_name="subject02"),
        record(model_sha256=B),
        record(evidence_version=None),
        record(options=(("filter", 5.0),)),
        record(ignored=()),
        record(warnings=()),
    ]
    assert len({one.sha256 for one in [record(), *changed]}) == len(changed) + 1


def test_dictionary_has_its_keys_in_a_fixed_order_and_is_strict_json():
    made = record(options=(("range", (-math.inf, math.nan)), ("markers", None)))
    plain = made.to_dict()
    assert list(plain) == [
        "code_version",
        "evidence_version",
        "model",
        "inputs",
        "options",
        "ignored",
        "warnings",
    ]
    assert plain["options"] == {"markers": None, "range": ["-Infinity", "NaN"]}
    assert plain["inputs"] == [{"name": "grf.mot", "sha256": A}, {"name": "walk.trc", "sha256": B}]
    assert json.loads(made.to_json()) == plain


def test_nothing_of_the_moment_or_the_computer_gets_in(tmp_path):
    texts = []
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "walk.trc"
        path.write_text("same")
        made = Provenance("0.1", inputs=(input_file(path),), options=options_of({"setup": path}))
        texts.append(made.to_json())
    assert texts[0] == texts[1] and str(tmp_path) not in texts[0]


def test_input_file_is_the_digest_of_its_bytes(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 1000)
    assert input_file(path) == InputFile("a.bin", hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(FileFormatError, match=r"absent\.trc cannot be read"):
        input_file(tmp_path / "absent.trc")


def test_repeated_names_are_kept_once_in_their_order():
    made = record(ignored=("probe", "contact", "probe"), warnings=("w", "w"))
    assert made.ignored == ("probe", "contact") and made.warnings == ("w",)


def test_options_become_plain_values():
    made = options_of({"b": [1, 2], "a": Path("x") / "y.osim", "c": {"z", "k"}, "d": np.int64(3), "e": np.float64(0.5)})
    assert made == (("a", "y.osim"), ("b", (1, 2)), ("c", ("k", "z")), ("d", 3), ("e", 0.5))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: record(code_version=""), "code_version is empty"),
        (lambda: record(model_sha256=None), "together, or neither"),
        (lambda: record(model_sha256="abc"), "64 hexadecimal digits"),
        (lambda: InputFile("folder/walk.trc", A), "without its folder"),
        (lambda: record(options=(("a", 1), ("a", 2))), "states a more than once"),
        (lambda: options_of({"a": object()}), "Option 'a' is a object"),
    ],
)
def test_records_that_cannot_be_right_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_record_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        record().code_version = "x"  # type: ignore[misc]
