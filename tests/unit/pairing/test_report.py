"""What a comparison reports: JSON by its schema, figures by own reckoning, explanations of what looks wrong."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from testbed.pairing.compare_captures import Comparison
from testbed.pairing.flow_summary import close_text
from testbed.pairing.negative_delay import NegativeReason, negative_delays
from testbed.report.json import comparison_json
from testbed.report.json.comparison_json import to_json
from testbed.report.text.comparison_csv import write_csv
from testbed.report.text.comparison_text import render
from tests.builders.frames import ethernet, icmp, pcap, udp
from tests.builders.shared_captures import compare_files, needs_corpus
from tests.builders.transfers import (
    FAULTS,
    MS,
    US,
    Packet,
    Transfer,
    compare_bytes,
    file_of,
    moved,
    rewritten,
    transfer,
)

SCHEMA = json.loads(Path(comparison_json.__file__).with_name("compare.schema.json").read_text())


def plain(compared: Comparison, differs: tuple[str, ...] = ("lost",)) -> dict[str, Any]:
    """What a program gets; it must satisfy the schema."""
    told = json.loads(json.dumps(to_json(compared, ("a.pcap", "b.pcap"), differs), allow_nan=False))
    jsonschema.validate(told, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert isinstance(told, dict)
    return told


def summary(compared: Comparison) -> str:
    out = io.StringIO()
    render(compared, ("a.pcap", "b.pcap"), (), Console(file=out, width=10_000))
    return out.getvalue()


def test_the_schema_is_one_and_refuses_what_is_no_comparison() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    good = plain(transfer({3: "lost"}).compare())
    for bad in (
        {key: value for key, value in good.items() if key != "clock"},
        {**good, "colour": "red"},
        {**good, "version": 2},
        {**good, "counts": {**good["counts"], "lost": -1}},
        {**good, "flows": [{**good["flows"][0], "opener": "nobody"}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, SCHEMA)


def one_way(made: Transfer) -> Transfer:
    return Transfer(*([each for each in packets if each.from_client] for packets in (made.client, made.server)))


def other_flows() -> Comparison:
    return compare_bytes(file_of(transfer().client), file_of(transfer(seed=9, isns=(7, 8)).server))


def twice_the_same() -> Comparison:
    ports = ({"sport": port, "dport": 10011} for port in (7777, 8888))
    client = one_way(transfer(segments=5)).client
    return compare_bytes(file_of(client), file_of([each for port in ports for each in rewritten(client, **port)]))


def of_other_protocols() -> Comparison:
    frames = [ethernet(udp(b"x" * 40)), ethernet(icmp(8, 0, 7, b"ping")), ethernet(bytes(40), ethertype=0x0806)]
    return compare_bytes(pcap(frames), pcap(frames[:2]))


@pytest.mark.parametrize(
    "made",
    [
        lambda: transfer(dict(enumerate(FAULTS, 2))).compare(),
        lambda: one_way(transfer()).compare(),
        lambda: transfer().compare(one_clock=True),
        lambda: Transfer(transfer().client, moved(transfer().server, offset=-(10**9))).compare(one_clock=True),
        lambda: compare_bytes(pcap([]), pcap([])),
        lambda: compare_bytes(file_of(transfer().client), file_of(transfer().server)[:-20]),
        other_flows,
        twice_the_same,
        of_other_protocols,
    ],
)
def test_any_comparison_is_as_the_schema_says(made: Callable[[], Comparison]) -> None:
    assert plain(made())["version"] == 1


@needs_corpus
@pytest.mark.parametrize(
    "pair",
    [
        ("pairs/mptcpanalyzer-1/client.pcap", "pairs/mptcpanalyzer-1/server.pcap"),
        ("pairs/vpn-wireguard-ftps/client.pcap", "pairs/vpn-wireguard-ftps/relay.pcap"),
        ("pairs/tcpreplay-rewrites/original.pcap", "pairs/tcpreplay-rewrites/rewrite_l7fuzzing.pcap"),
        ("pairs/tcpreplay-rewrites/original.pcap", "pairs/tcpreplay-rewrites/rewrite_endpoint.pcap"),
    ],
)
def test_comparisons_of_real_captures_are_as_the_schema_says(pair: tuple[str, str]) -> None:
    assert plain(compare_files(*pair))["flows"]


def ranked(values: list[int]) -> dict[str, int]:
    """Percentiles by nearest rank, reckoned one by one."""
    values = sorted(values)
    at = {"minimum": 0.0, "median": 0.5, "p95": 0.95, "p99": 0.99, "maximum": 1.0}
    return {name: values[round((len(values) - 1) * share)] for name, share in at.items()}


def figures(made: Transfer, *, client: bool) -> dict[str, Any]:
    """What must be said of one direction, by own reckoning from what was put on both wires."""
    sent, arrived = (made.client, made.server) if client else (made.server, made.client)
    sent, arrived = ([each for each in packets if each.from_client == client] for packets in (sent, arrived))

    def name(each: Packet) -> tuple[Any, ...]:
        return each.fields["ident"], each.fields["seq"], each.payload

    times = {name(each): each.time for each in arrived}
    delays = [times[name(each)] - each.time for each in sent if name(each) in times]
    took = max(each.time for each in sent) - min(each.time for each in sent)
    payload = sum(len(each.payload) for each in sent if name(each) in times)
    return {
        "delay": ranked(delays),
        "bytes": payload,
        "duration": took,
        "throughput": pytest.approx(payload * 8e9 / took, abs=0.001),
    }


@pytest.mark.parametrize("seed", range(3))
def test_percentiles_round_trips_and_throughput_are_those_reckoned_one_by_one(seed: int) -> None:
    """Of each direction of two flows, and of both flows together."""
    one = transfer({3: "lost", 5: "late", 9: "lost", 40: "late"}, segments=50, seed=seed)
    two = transfer({7: "lost", 8: "late"}, segments=30, seed=seed + 50, isns=(5, 6))
    ports = {
        "sport": lambda each: 99 if each.from_client else 10011,
        "dport": lambda each: 10011 if each.from_client else 99,
    }
    for packets in (two.client, two.server):
        packets[:] = rewritten(moved(packets, offset=700 * MS), **ports)
    both = Transfer(one.client + two.client, one.server + two.server)
    told = plain(both.compare(one_clock=True))
    for flow, made in zip(told["flows"], (one, two), strict=True):
        for name, client in (("from_opener", True), ("to_opener", False)):
            wanted = figures(made, client=client)
            assert {key: flow[name][key] for key in wanted} == wanted
        trips = [flow[name]["delay"] for name in ("from_opener", "to_opener")]
        assert flow["round_trip"] == {key: trips[0][key] + trips[1][key] for key in ("minimum", "median")}
    for name, client in (("client to server", True), ("server to client", False)):
        wanted = figures(both, client=client)
        assert {key: told["directions"][name][key] for key in wanted} == wanted
    shown = summary(both.compare(one_clock=True))
    assert f"delay, p99            {told['directions']['client to server']['delay']['p99'] / 1e6:.6f} ms" in shown


def test_a_round_trip_is_the_same_whatever_the_clocks_are_set_to() -> None:
    made = transfer(segments=40)
    exact = plain(made.compare(one_clock=True))["round_trip"]
    made.server = moved(made.server, offset=421 * MS)
    assert plain(made.compare())["round_trip"] == exact


@pytest.mark.parametrize("offset", [-421 * MS, 421 * MS])
def test_who_closed_first_is_told_by_one_clock(offset: int) -> None:
    """The client's FIN comes first though the server's clock is behind by far more than the connection took."""
    made = transfer(segments=3)
    made.server = moved(made.server, offset=offset)
    assert close_text(made.compare(), 0) == "client FIN, then server FIN"


def test_altered_fields_are_told_with_their_values_at_both_ends() -> None:
    compared = transfer({3: "window", 5: "ttl", 7: "dscp", 9: "payload", 11: "urgent"}).compare()
    wanted = {
        "window": ("502", "77"),
        "ttl": ("64", "33"),
        "dscp": ("0", "46"),
        "urgent pointer": ("0", "3"),
    }
    told = {}
    for each in plain(compared)["differences"]["examples"]:
        (change,) = each["altered"]
        told[change["field"]] = (change["sent"], change["arrived"])
    payload = told.pop("payload")
    assert told == wanted
    assert payload[0].startswith("byte 0 is 0x")
    assert int(payload[0][-2:], 16) ^ int(payload[1][-2:], 16) == 1
    out = io.BytesIO()
    write_csv(compared, out)
    rows = [row for row in csv.DictReader(io.StringIO(out.getvalue().decode())) if row["altered"]]
    assert "window: 502 -> 77" in {row["values"] for row in rows}
    assert len(rows) == 5
    shown = summary(compared)
    assert "altered (window 502 -> 77): frame " in shown
    assert "altered (dscp 0 -> 46): frame " in shown


def test_negative_delays_come_with_the_explanation() -> None:
    """Of captures of two clocks that are said to be of one."""
    made = transfer(segments=30)
    made.server = moved(made.server, offset=-421 * MS)
    compared = made.compare(one_clock=True)
    negative = plain(compared)["clock"]["negative"]
    assert negative["packets"] == sum(each.from_client for each in made.client)
    assert -421 * MS < negative["least"] < -410 * MS
    assert "the server's is 421.0" in negative["why"]
    assert "compare without --one-clock" in negative["why"]
    assert f"negative delays of {negative['packets']} packets" in summary(compared)
    out = io.BytesIO()
    write_csv(compared, out)
    explained = [
        row["negative_because"]
        for row in csv.DictReader(io.StringIO(out.getvalue().decode()))
        if row["delay_ns"][:1] == "-"
    ]
    assert explained == [negative["why"]] * negative["packets"]
    assert plain(made.compare())["clock"]["negative"] is None


def test_a_delay_below_a_microsecond_is_negative_for_the_stamps_are_rounded() -> None:
    made = transfer(segments=5)
    made.server = [
        replace(
            each, time=next(sent.time for sent in made.client if sent.fields["ident"] == each.fields["ident"]) + 800
        )
        if each.from_client
        else each
        for each in made.server
    ]
    client = [replace(each, time=each.time + 500) if each.from_client else each for each in made.client]
    compared = compare_bytes(file_of(client), file_of(made.server, nano=False), one_clock=True)
    told = negative_delays(compared)
    assert told is not None
    assert told.least == -500
    assert told.reason is NegativeReason.ROUNDED_STAMPS


def test_a_tap_that_stamps_single_packets_late_is_no_other_clock() -> None:
    made = transfer(segments=30)
    made.client = [replace(each, time=each.time + 6 * MS) if each.number == 7 else each for each in made.client]
    told = negative_delays(made.compare(one_clock=True))
    assert told is not None
    assert told.packets == 1
    assert told.reason is NegativeReason.LATE_STAMPS


def test_a_direction_of_few_packets_that_are_all_early_is_another_clock() -> None:
    """Most packets go one way, as in a download with few ACKs: those of the other way are no exceptions."""
    made = transfer(segments=60)
    for packets in (made.client, made.server):
        packets[:] = [each for each in packets if each.from_client or each.fields["flags"] != 16]
    made.server = moved(made.server, offset=421 * MS)
    told = negative_delays(made.compare(one_clock=True))
    assert told is not None
    assert told.packets == sum(not each.from_client for each in made.client) == 2
    assert told.reason is NegativeReason.OTHER_CLOCKS
    assert told.server_clock is not None
    assert round(told.server_clock.offset / 1e7) == 42


def forged(made: Transfer, **fields: int) -> Comparison:
    like = next(each for each in made.server if each.number == 20)
    one = replace(like, time=like.time + 10 * US, payload=b"", number=-1, fields={**like.fields, "flags": 4, **fields})
    made.server.append(one)
    return made.compare()


@pytest.mark.parametrize(
    ("fields", "who", "why"),
    [
        ({"ttl": 200, "ident": 122}, "another sender", "TTL 200, the flow's packets arrive with 61"),
        (
            {"ttl": 63, "ident": 122},
            "a device on the way",
            "TTL 63, the flow's packets arrive with 61: 1 of 3 hops away",
        ),
        ({"ident": 7777}, "another sender", "IP identification 7777, the flow's are at 123"),
        (
            {"ttl": 200, "ident": 7777},
            "another sender",
            "TTL 200, the flow's packets arrive with 61, IP identification",
        ),
        ({"ident": 0}, "unknown", "TTL 61 fit the flow"),
    ],
)
def test_who_forged_a_packet_is_told_by_its_ttl_and_number(fields: dict[str, int], who: str, why: str) -> None:
    compared = forged(transfer(segments=30), **fields)
    (told,) = plain(compared)["differences"]["examples"]
    assert told["fate"] == "appeared"
    assert told["origin"]["who"] == who
    assert told["origin"]["why"].startswith(why)
    assert f"from {who} ({why}" in summary(compared)


def test_of_a_flow_that_otherwise_did_not_cross_the_forger_is_unknown() -> None:
    made = transfer(segments=30)
    made.client = [each for each in made.client if not each.from_client]
    lone = next(each for each in made.server if each.number == 5)
    made.server = [each for each in made.server if not each.from_client] + [lone]
    examples = plain(made.compare())["differences"]["examples"]
    origins = {each["origin"]["who"] for each in examples if each["fate"] == "appeared"}
    assert origins <= {"unknown"}


def test_the_summary_names_each_flow_in_full_with_its_filter() -> None:
    """A line for each flow; where it looks different at both ends, a filter for each."""
    one, two = transfer(segments=4), transfer(segments=4, seed=4, isns=(7, 9))
    ports = {
        "sport": lambda each: 99 if each.from_client else 10011,
        "dport": lambda each: 10011 if each.from_client else 99,
    }
    two.client = rewritten(two.client, **ports)
    two.server = rewritten(
        two.server, **ports, ttl=lambda each: each.fields.get("ttl", 64) - (20 if each.from_client else 0)
    )
    two.server = rewritten(
        two.server,
        src=lambda each: "203.0.113.9" if each.from_client else each.fields["src"],
        dst=lambda each: each.fields["dst"] if each.from_client else "203.0.113.9",
    )
    compared = Transfer(one.client + two.client, one.server + two.server).compare()
    lines = summary(compared).splitlines()
    assert any("198.18.0.2:4711, 198.18.0.3:10011, TTL -3, sequence +0" in line for line in lines)
    assert any(
        "198.18.0.2:99 -> 203.0.113.9:99, 198.18.0.3:10011, TTL -23 and -3, sequence +0" in line for line in lines
    )
    filters = [line for line in lines if line.startswith("Wireshark")]
    assert len(filters) == 3
    assert sum("ip.addr == 203.0.113.9" in line and " at the server: " in line for line in filters) == 1
    assert not any("…" in line for line in lines)
