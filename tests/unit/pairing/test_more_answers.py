"""What an engineer asks beside lost and altered: steps of the delay, one capture alone, several along a path, rings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource
from scapy.utils import RawPcapNgReader

from dev.pairs.made_packets import pcap
from dev.pairs.pair_kinds import known_pair
from testbed.cli.compare_command import compare
from testbed.pairing.delay_steps import delay_levels, loss_bursts
from testbed.pairing.flow_figures import Limit, figures, opening
from testbed.pairing.same import count_differences
from testbed.report.json import comparison_json
from testbed.run.read_captures import read_named
from tests.builders.transfers import DELAY, MS, PACE, START, Transfer, file_of, moved, transfer

SCHEMAS = Path(comparison_json.__file__).parent


def written(folder: Path, made: Transfer) -> tuple[str, str]:
    paths = folder / "client.pcap", folder / "server.pcap"
    for path, packets in zip(paths, (made.client, made.server), strict=True):
        path.write_bytes(file_of(packets))
    return str(paths[0]), str(paths[1])


def validate(told: object, name: str) -> None:
    """Hold what a program gets against its schema, which may refer to the others."""
    schemas = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.schema.json")}
    registry: Registry[Any] = Registry().with_resources(
        (key, Resource.from_contents(schema)) for key, schema in schemas.items()
    )
    jsonschema.Draft202012Validator(schemas[f"{name}.schema.json"], registry=registry).validate(told)


def test_a_step_of_the_delay_is_where_it_was_made() -> None:
    made = transfer(segments=400)
    when = START + 20 * MS + 200 * PACE
    made.server = [replace(each, time=each.time + 50 * MS) if each.from_client and each.time - DELAY >= when else each
                   for each in made.server]  # fmt: skip
    levels = delay_levels(made.compare(one_clock=True), from_one=True)
    assert [round(each.median / MS) for each in levels] == [5, 55]
    assert abs(levels[1].start - when) <= 8 * PACE
    assert len(delay_levels(made.compare(one_clock=True), from_one=False)) == 1


def test_losses_one_after_another_are_one_burst() -> None:
    made = transfer({**dict.fromkeys(range(40, 48), "lost"), 300: "lost"}, segments=400)
    bursts = loss_bursts(made.compare(), from_one=True)
    assert bursts is not None
    assert (bursts.lost, bursts.bursts, bursts.packets, bursts.lasted) == (9, 2, 8, 7 * PACE)
    assert loss_bursts(made.compare(), from_one=False) is None


def test_a_drift_of_a_clock_is_no_step() -> None:
    """Transfers with long pauses between them: a clock that is 13 ppm fast has moved 0.39 ms after half a minute."""
    made = Transfer()
    for k in range(12):
        later = transfer(segments=60, seed=k, isns=(1000 + k * 10**6, 5000 + k * 10**6))
        for mine, theirs in ((made.client, later.client), (made.server, later.server)):
            port = {True: {"sport": 5000 + k}, False: {"dport": 5000 + k}}
            mine += [
                replace(each, time=each.time + k * 30 * 10**9, fields={**each.fields, **port[each.from_client]})
                for each in theirs
            ]
    made.server = moved(made.server, offset=421 * MS, ppm=13)
    (piece,) = made.compare().clock.pieces
    assert abs(piece.drift * 1e6 - 13) < 0.5


def test_one_capture_alone_says_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client, _ = written(tmp_path, transfer(segments=30))
    packets, flows = read_named(client)
    there, back = figures(packets, flows, 0, flows.of.nonzero()[0] if flows.of.any() else flows.of.argsort())
    assert (there.payload, back.payload) == (3000, 0)
    assert there.trips is not None
    assert there.trips[0] >= 2 * DELAY
    assert there.limit is Limit.SENDER
    assert opening(packets, flows.of.argsort(kind="stable"))[0]
    assert compare([client]) == 0
    assert "one capture cannot tell" in capsys.readouterr().out
    assert compare([client], as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    validate(told, "one-capture")
    (flow,) = told["flows"]
    assert flow["close"] == ["opener FIN", "other end FIN"]
    assert flow["from_opener"]["bytes"] == 3000


def test_captures_along_a_path_are_compared_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = transfer({7: "lost"}, segments=30)
    client, server = written(tmp_path, made)
    middle = tmp_path / "middle.pcap"
    middle.write_bytes(file_of([replace(each, time=each.time + MS * (1 if each.from_client else -1))
                                for each in made.client]))  # fmt: skip
    assert compare([client, str(middle), server], as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    validate(told, "along-path")
    hops = told["hops"]
    assert [hop["counts"]["lost"] for hop in hops] == [0, 1]
    assert compare([client, str(middle), server]) == 1
    out = capsys.readouterr().out
    assert "part 1" in out
    assert "part 2" in out
    assert compare([client, str(middle), server], csv=str(tmp_path / "x.csv")) == 2
    assert "--csv is for two captures" in capsys.readouterr().err


def test_files_of_a_ring_buffer_are_one_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = transfer({7: "lost"}, segments=60)
    client, server = written(tmp_path, made)
    ordered = sorted(made.client, key=lambda each: each.time)
    for k, name in enumerate(("ring1", "ring2", "ring0")):  # the ring began again: names are no order
        (tmp_path / f"{name}.pcap").write_bytes(file_of(ordered[k * 50 : (k + 1) * 50]))
    assert len(ordered) <= 150
    whole, parts = read_named(client), read_named(str(tmp_path / "ring*.pcap"))
    assert whole[0].time.tolist() == parts[0].time.tolist()
    assert compare([str(tmp_path / "ring*.pcap"), server]) == 1
    assert "differs: lost" in capsys.readouterr().out
    assert compare([str(tmp_path / "none*.pcap"), server]) == 2
    assert "no file has such a name" in capsys.readouterr().err


def test_the_packets_that_differ_go_to_a_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = transfer({7: "lost", 9: "window"}, segments=30)
    target = tmp_path / "diff.pcapng"
    assert compare([*written(tmp_path, made)], diff_pcap=str(target)) == 1
    capsys.readouterr()
    with RawPcapNgReader(str(target)) as reader:
        assert len(list(reader)) == 3  # the lost one, and the altered one at both ends
    assert count_differences(made.compare())["lost"] == 1


def test_what_is_ambiguous_does_not_pass_for_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = transfer(segments=10)
    base = next(each for each in made.client if each.fields["flags"] == 16 and not each.from_client)
    fields = {**base.fields, "ident": 0, "options": b"", "window": 400}
    for k in range(6):
        made.server.append(replace(base, time=START + 40 * MS + k * 1000, fields=fields))
        if k != 3:
            made.client.append(replace(base, time=START + 45 * MS + k * 1000, fields={**fields, "ttl": 61}))
    paths = written(tmp_path, made)
    assert compare([*paths], fail_on="lost") == 3
    assert "inconclusive" in capsys.readouterr().out
    assert compare([*paths]) == 1


def test_a_damaged_file_without_a_packet_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client, server = written(tmp_path, transfer(segments=3))
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(Path(client).read_bytes()[:30])
    for files in ([str(cut), server], [str(cut)], [client, server, str(cut)], [str(tmp_path / "c?t.pcap")]):
        assert compare(files) == 2
        assert "before the first packet" in capsys.readouterr().err


def test_each_flow_has_round_trips_bytes_in_flight_and_pauses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = transfer(segments=40)
    later = START + 20 * MS + 20 * PACE
    for packets in (made.client, made.server):
        packets[:] = [replace(each, time=each.time + 700 * MS) if each.time >= later else each for each in packets]
    client, server = written(tmp_path, made)
    compare([client, server], as_json=True)
    told = json.loads(capsys.readouterr().out)
    validate(told, "compare")
    (flow,) = told["flows"]
    way = flow["figures"]["at_taps"]["client"]["from_opener"]
    assert way["round_trip"]["minimum"] >= 2 * DELAY
    assert way["bytes_in_flight"] > 0
    assert max(pause["lasted"] for pause in flow["figures"]["pauses"]) >= 600 * MS
    assert len(told["over_time"]["client to server"]["delay_levels"]) == 1
    compare([client, server])
    text = capsys.readouterr().out
    assert "flow 1 from the client: at most" in text
    assert "pause of flow 1 at" in text


def test_ambiguous_packets_of_a_part_of_the_path_do_not_pass_for_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = known_pair("identical", 88)
    one, two = tmp_path / "one.pcap", tmp_path / "two.pcap"
    one.write_bytes(pcap(pair.one))
    two.write_bytes(pcap(pair.two))
    assert compare([str(one), str(two), str(two)], fail_on="appeared") == 3
    lines = capsys.readouterr().out.splitlines()
    first, second = (line for line in lines if line.strip().startswith(("same", "inconclusive")))
    assert "inconclusive" in first
    assert "same" in second
