"""Packed columns come back as they were: read here as `assets/data.js` reads them."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from testbed.report.html.pack import Packer

SAFE = 2**52


def unpack(packed: str) -> tuple[dict[str, Any], bytes]:
    data = zlib.decompress(base64.b64decode(packed))
    (length,) = struct.unpack_from("<I", data)
    return json.loads(data[4 : 4 + length]), data[4 + length :]


def numbers(head: dict[str, Any], data: bytes, name: str) -> list[int]:
    """The twin of `Tables.numbers`."""
    column = head["columns"][name]
    count, values, before = column["count"], [], 0
    for i in range(count):
        coded = sum(data[column["at"] + plane * count + i] << 8 * plane for plane in range(column["width"]))
        value = -(coded + 1) // 2 if coded % 2 else coded // 2
        before = before + value if column["delta"] else value
        values.append(before * column["unit"])
    return values


@given(st.lists(st.integers(-SAFE // 4, SAFE // 4), max_size=40))
def test_integers_come_back(values: list[int]) -> None:
    packer = Packer()
    packer.numbers("x", values)
    assert numbers(*unpack(packer.pack({})), "x") == values


@given(st.lists(st.lists(st.integers(-9, 2**40), max_size=4), max_size=9), st.lists(st.binary(max_size=9), max_size=9))
def test_lists_and_byte_strings_come_back(rows: list[list[int]], blobs: list[bytes]) -> None:
    packer = Packer()
    packer.lists("rows", rows)
    packer.blobs("blobs", blobs)
    head, data = unpack(packer.pack({}))
    counts, flat = numbers(head, data, "rows.count"), iter(numbers(head, data, "rows.value"))
    assert [[next(flat) for _ in range(count)] for count in counts] == rows
    at = head["columns"]["blobs.bytes"]["at"]
    found = []
    for count in numbers(head, data, "blobs.count"):
        found.append(data[at : at + count])
        at += count
    assert found == blobs


@given(st.lists(st.text(st.characters(exclude_categories=())), max_size=9))
def test_texts_come_back_even_undecodable_names(texts: list[str]) -> None:
    packer = Packer()
    packer.texts("x", texts)
    head, data = unpack(packer.pack({}))
    assert [head["texts"][n] for n in numbers(head, data, "x")] == texts


def test_a_text_is_stored_once() -> None:
    packer = Packer()
    packer.texts("x", ["same"] * 1000)
    head, _ = unpack(packer.pack({}))
    assert head["texts"] == ["", "same"]


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20))
def test_what_a_browser_cannot_hold_is_rounded_to_what_it_can(values: list[int]) -> None:
    packer = Packer()
    packer.numbers("x", [*values, 2**52])
    head, data = unpack(packer.pack({}))
    unit = head["columns"]["x"]["unit"]
    assert unit == 2 ** (max(map(abs, [*values, 2**52])).bit_length() - 51)
    found = numbers(head, data, "x")
    assert all(abs(one - other) <= unit // 2 for one, other in zip(found, [*values, 2**52], strict=True))
    assert all(float(one) == one for one in found)
