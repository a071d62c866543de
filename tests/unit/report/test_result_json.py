"""``result.json``: complete, valid against the committed schema, and safe for any content."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from testbed.model import Analysis, CauseKind, Count, Outcome, PayloadChange
from testbed.report.json import result_json
from testbed.report.json.result_json import to_json
from tests.builders.runs import META, at, digest, make_call, make_crossing, origin, with_inputs, with_joined
from tests.nonempty import nonempty

SCHEMA = json.loads(Path(result_json.__file__).with_name("result.schema.json").read_text())


def written(analysis: Analysis, meta: dict[str, Any] = META) -> dict[str, Any]:
    """What a reader gets back from the file; it must satisfy the schema."""
    result = json.loads(json.dumps(to_json(analysis, meta), allow_nan=False))
    jsonschema.validate(result, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert isinstance(result, dict)
    return result


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_refuses_what_is_no_result() -> None:
    """A member too few, one too many, another version: a schema that lets all through proves nothing."""
    good = written(origin())
    for bad in (
        {key: value for key, value in good.items() if key != "ledger"},
        {**good, "colour": "red"},
        {**good, "format": "bothends-result/2"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, SCHEMA)


def test_a_run_is_told_whole() -> None:
    """Outcome, identity, sentences, both hosts, every packet with its cause, ledger, checks and programs."""
    result = written(origin(), {**META, "notes": ["slow"]})
    assert (result["format"], result["outcome"], result["exit_code"]) == ("bothends-result/1", "fail", 1)
    assert result["scenario"] == {"name": "connect-send-close", "summary": "Three sends and an immediate close"}
    assert result["run"] == {"id": "0123abcd", "engine": "docker", "started": "2026-01-01T12:00:00.000+00:00"}
    assert result["notes"] == ["slow"]
    assert result["hosts"]["client"]["other_frames"] == {"ARP": 2}
    assert result["hosts"]["client"]["delay"]["maximum_ns"] == 5_021_300
    assert [c["flags"] for c in result["crossings"]] == ["S", "S.", ".", "P.", ".", "FP.", "R."]
    assert result["crossings"][5]["cause"]["calls"] == [3, 4, 5]
    assert result["crossings"][5]["payload"] == b"cstring".hex()
    assert result["verdict_facts"] == [
        {"fact": "transfer", "flow": 0, "sender": "client", "refused": 0, "unread_end": "closed"}
    ]
    assert result["ledger"][0]["connection_end"]["reset"] == {
        "packet": 6,
        "host": "server",
        "origin": "host",
        "lost": False,
    }
    assert result["ledger"][0]["read"] == {"bytes": 1, "digest": digest(b"c"), "datagrams": None}
    assert [check["ok"] for check in result["checks"]] == [True, False]
    assert result["programs"][0]["argv"] == ["actor"]


def test_each_call_names_its_bytes_its_packets_and_why_none() -> None:
    """The second and third send share one segment; the range of each is told in the stream."""
    calls = written(origin())["hosts"]["client"]["calls"]
    assert [call["stream"] and (call["stream"]["start"], call["stream"]["end"]) for call in calls] == [
        None,
        None,
        (0, 1),
        (1, 2),
        (2, 8),
        None,
    ]
    assert [call["packets"] for call in calls] == [[], [0], [3], [5], [5], [5]]
    server = written(origin())["hosts"]["server"]["calls"]
    assert server[1]["silent"] == "takes a connection that the kernel had opened already"
    assert server[2]["stream"] == {"flow": 0, "start": 0, "end": 1, "ambiguous": False}


def test_a_cause_that_is_no_call_gives_a_call_no_packet() -> None:
    """A retransmission of a send's bytes is the timer's packet, though its evidence names the call."""
    analysis = origin()
    causes = [replace(cause, kind=CauseKind.TIMER) for cause in analysis.causes]
    calls = written(replace(analysis, causes=tuple(causes)))["hosts"]["client"]["calls"]
    assert all(call["packets"] == [] for call in nonempty(calls))


def test_long_payloads_are_cut_and_their_length_kept() -> None:
    """64 bytes of hex in packets and calls, a changed payload whole; numbers above 2**53 stay exact."""
    body = bytes(range(256)) * 6
    change = PayloadChange(0, body, body[::-1], count=len(body))
    crossing = make_crossing(0, "client", "P.", 1, payload=body, changes=(change,), raw_seq=2**32 - 1)
    call = make_call("client", 0, "send", 0, None, data=body, direction="out")
    analysis = with_inputs(with_joined(origin(silent={}), (crossing,)), calls={"client": (call,), "server": ()})
    result = written(analysis)
    (packet,), (sent,) = result["crossings"], result["hosts"]["client"]["calls"]
    assert (packet["payload"], packet["length"]) == (body[:64].hex(), len(body))
    assert (sent["data"], sent["length"], sent["end_ns"]) == (body[:64].hex(), len(body), None)
    assert packet["changes"] == [
        {
            "what": "payload",
            "at_sender": "byte 0 is 0x00",
            "at_receiver": "0xff and 1535 more",
            "before": body.hex(),
            "after": body[::-1].hex(),
            "offset": 0,
            "count": len(body),
        }
    ]
    assert sent["start_ns"] == at(0)
    assert sent["socket"]["cookie"] == 0xFFFF_FFFF_0000_0001


def test_lost_appeared_and_flowless_packets() -> None:
    crossings = (
        make_crossing(0, "client", "S", 1, arrived=None, at_server=None),
        replace(make_crossing(1, "server", "R", 2), sent=None, at_server=None),
        make_crossing(2, "server", "", 3, flow=None, protocol="icmp", ack=None),
    )
    result = written(with_joined(origin(), crossings))
    assert [c["fate"] for c in result["crossings"]] == ["lost", "appeared", "crossed"]
    assert (result["crossings"][0]["arrived_ns"], result["crossings"][1]["sent_ns"]) == (None, None)
    assert result["crossings"][2]["flow"] is None


def test_arguments_of_any_kind_become_json() -> None:
    """Bytes as hex, tuples as lists, what JSON has no word for as text; broken text survives."""
    args = {
        "a": b"\xff",
        "b": (1, b"\0"),
        "c": {"d": {1: 2}},
        "e": CauseKind.CALL,
        "f": Path("x"),
        "g": "\udcff\x1b[31m",
    }
    call = make_call("client", 0, "ioctl", 0, 1, args=args, socket=None)
    analysis = with_inputs(origin(silent={}), calls={"client": (call,), "server": ()})
    shown = written(analysis)["hosts"]["client"]["calls"][0]
    assert shown["args"] == {
        "a": "ff",
        "b": [1, "00"],
        "c": {"d": {"1": 2}},
        "e": "call",
        "f": "x",
        "g": "\udcff\x1b[31m",
    }
    assert shown["socket"] is None


def test_a_run_of_which_nothing_is_known_is_valid() -> None:
    """No packet, no call, no delay, no name: an interrupted run still has a result."""
    empty = with_inputs(with_joined(origin(), (), ()), calls={}, observed={}, programs=(), output={})
    empty = replace(empty, silent={}, delays={}, ledger=(), checks=(), verdict=(), outcome=Outcome.INCONCLUSIVE)
    result = written(empty, {})
    assert (result["exit_code"], result["crossings"], result["flows"]) == (3, [], [])
    assert result["hosts"]["server"]["observer"] == "none"


def test_points_that_cannot_be_observed_are_null() -> None:
    analysis = origin()
    row = replace(analysis.ledger[0], written=Count(None), unread=None)
    assert written(replace(analysis, ledger=(row,)))["ledger"][0]["written"]["bytes"] is None
