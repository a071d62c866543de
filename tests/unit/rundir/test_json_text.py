"""A run directory's JSON: the same values as the standard library's, a line for each item two levels deep."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from testbed.rundir.json_text import in_lines

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_it_holds_what_it_was_given(value: dict[str, object]) -> None:
    assert json.loads(in_lines(value)) == value


def test_a_line_holds_an_item() -> None:
    value = {
        "outcome": "pass",
        "packets": [{"id": 0, "seq": [1, 2]}, {"id": 1}],
        "hosts": {"client": {"ip": 4}},
        "none": [],
    }
    assert in_lines(value) == (
        '{\n "outcome": "pass",\n "packets": [\n  {"id": 0, "seq": [1, 2]},\n  {"id": 1}\n ],\n'
        ' "hosts": {\n  "client": {"ip": 4}\n },\n "none": []\n}\n'
    )
