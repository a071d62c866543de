"""`invoke bench truth`: scenarios are valid, repeatable, of every step; they shrink; runs are compared."""

from __future__ import annotations

import copy
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from dev.truth.check_absences import check_absences
from dev.truth.check_verdict import check_verdict, silent
from dev.truth.compare_run import Tally, actor_counts, compare_run
from dev.truth.draw_scenario import LEFT_OUT, as_scenario, draw_scenario
from dev.truth.kernel_says import KernelSays
from dev.truth.run_drawn import Measured, kept_runs
from dev.truth.shrink import shrink, size, smaller_documents
from dev.truth.truth_campaign import Campaign, as_json, from_json
from dev.truth.truth_tables import confusion, is_true, lines
from testbed.analysis.calls.streams import build_streams
from testbed.model import Analysis, CauseName, PacketRef, call_ref
from testbed.model.absences import NoPacket, NoPacketReason, Reset
from testbed.model.causes import Basis
from testbed.model.kernel_log import KernelEvent, KernelLog, StateChange
from testbed.model.origins import Mechanism, PacketOrigin
from testbed.model.verdicts import BrokenOff
from testbed.scenario.steps.step import DEFINED
from tests.builders.exchange import Exchange

DRAWN = [draw_scenario(3, number) for number in range(40)]


def steps(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for host in ("client", "server") for step in document[host]["steps"]]


def test_a_scenario_is_the_same_for_the_same_seed_and_number() -> None:
    assert draw_scenario(3, 5) == DRAWN[5]
    assert draw_scenario(4, 5) != DRAWN[5]
    assert len({json.dumps(document) for document in DRAWN}) == len(DRAWN)


def test_every_step_is_drawn_but_those_that_are_left_out() -> None:
    drawn = {next(iter(step)) for number in range(150) for step in steps(draw_scenario(11, number))}
    assert drawn == set(DEFINED) - LEFT_OUT


def test_scenarios_have_faults_both_families_datagrams_and_several_connections() -> None:
    assert any(document.get("ip") == 6 for document in DRAWN)
    assert any(document.get("ip") in ([4, 6], [6, 4]) for document in DRAWN)
    assert any("addresses" in document["server"] for document in DRAWN)
    assert any(document.get("link", {}).get("faults") for document in DRAWN)
    sockets = [{step.get("as") for step in steps(document)} for document in DRAWN]
    assert any("port" in names for names in sockets)
    assert any("conn1" in names for names in sockets)


def test_datagrams_between_several_addresses_name_those_of_their_own_host() -> None:
    """On a socket that is told of them the server takes messages; of an IPv6 lab the option is that of IPv6."""
    drawn = {number: draw_scenario(5, number) for number in (435, 955)}
    for number, option in ((435, "IP_PKTINFO"), (955, "IPV6_RECVPKTINFO")):
        written = json.dumps(steps(drawn[number]))
        assert option in written
        assert '"recvmsg": [' in written
        assert '"from": "client' in written


def test_shrinking_leaves_what_the_disagreement_needs() -> None:
    """It stays while the client sends: everything else goes, and what is left is valid."""
    document = next(
        each for each in DRAWN if "link" in each and any("send" in step for step in each["client"]["steps"])
    )

    def still_wrong(smaller: dict[str, Any]) -> bool:
        return any("send" in step for step in smaller["client"]["steps"])

    smallest = shrink(document, still_wrong, tries=500)
    assert still_wrong(smallest)
    assert "link" not in smallest
    assert not any(still_wrong(each) and valid(each) for each in smaller_documents(smallest))
    assert size(smallest) < size(document)


def valid(document: dict[str, Any]) -> bool:
    try:
        as_scenario(document, "smaller")
    except Exception:  # noqa: BLE001 - any refusal will do
        return False
    return True


def test_shrinking_stops_after_so_many_runs_and_changes_nothing_given() -> None:
    before, runs = copy.deepcopy(DRAWN[0]), []

    def still_wrong(smaller: dict[str, Any]) -> bool:
        runs.append(smaller)
        return False

    assert shrink(DRAWN[0], still_wrong, tries=4) == before == DRAWN[0]
    assert len(runs) == 4


DOCUMENT: dict[str, Any] = {
    "client": {"steps": [{"send": "hello", "on": "sock0"}]},
    "server": {"steps": [{"recv": {"size": 9, "flags": ["MSG_PEEK"]}, "on": "conn0"}, {"recv": 9, "on": "conn0"}]},
}
OUTPUT = {
    "client": '{"event":"ok","step":0,"call":"send","result":5,"bytes":5,"calls":1}',
    "server": '{"event":"ok","step":0,"call":"recv","bytes":5}\n{"event":"ok","step":1,"call":"recv","bytes":5}',
}


def analysed(output: dict[str, str]) -> Analysis:
    run = Exchange()
    tcp = run.tcp(server_port=7001).opened()
    tcp.client("send", b"hello")
    tcp("client P.", b"hello")
    tcp("server .")
    tcp.server("recv", b"hello")
    return run.analysis(output=output)


def proven(analysis: Analysis, n: int, rule: CauseName, *, open_to: tuple[CauseName, ...] = ()) -> Analysis:
    """Return the analysis with the kernel's word about a packet."""
    before = replace(analysis.causes[n], alternatives=open_to)
    origin = PacketOrigin(Mechanism.TIMER, "a timer")
    said = replace(before, rule=rule, basis=Basis.KERNEL, alternatives=(), origin=origin, inferred=before)
    return replace(analysis, causes=(*analysis.causes[:n], said, *analysis.causes[n + 1 :]))


def test_what_the_kernel_says_otherwise_is_a_disagreement() -> None:
    tally, found = compare_run(DOCUMENT, proven(analysed(OUTPUT), 4, CauseName.DELAYED_ACK))
    assert [each.kind for each in found] == ["cause ack is delayed-ack"]
    assert (tally.packets, tally.proven, tally.contradicted) == (5, 1, 1)
    assert tally.confusion == {("ack", "delayed-ack"): 1}
    assert not is_true(tally)


@pytest.mark.parametrize("said", [CauseName.ACK, CauseName.DELAYED_ACK])
def test_a_cause_that_leaves_it_open_is_not_contradicted_but_counted(said: CauseName) -> None:
    analysis = proven(analysed(OUTPUT), 4, said, open_to=(CauseName.DELAYED_ACK,))
    tally, found = compare_run(DOCUMENT, analysis)
    assert not found
    assert tally.open == {"ack": 1}


def test_the_actors_own_count_is_held_against_the_ledger() -> None:
    tally, found = compare_run(DOCUMENT, analysed(OUTPUT))
    assert (tally.figures, found) == (4, ())
    more = {**OUTPUT, "client": OUTPUT["client"].replace('"bytes":5', '"bytes":6')}
    assert [each.kind for each in compare_run(DOCUMENT, analysed(more))[1]] == ["ledger written"]


def test_what_is_only_peeked_at_counts_for_nothing() -> None:
    assert actor_counts(DOCUMENT, "server", OUTPUT["server"]) == {("conn0", "in"): 5}
    assert actor_counts(DOCUMENT, "server", "cut sho") is None


def test_what_let_a_packet_go_is_held_against_the_stack() -> None:
    """The ACK is said to be sent as the data came; the kernel says that a call sent it."""
    before = analysed(OUTPUT)
    inferred = before.causes[4]
    said = replace(
        inferred, basis=Basis.KERNEL, origin=PacketOrigin(Mechanism.CALL, "a call", packet=None), inferred=inferred
    )
    assert inferred.sent_by is not None
    analysis = replace(before, causes=(*before.causes[:4], said, *before.causes[5:]))
    analysis = replace(analysis, inputs=replace(analysis.inputs, kernel=KernelLog((), ())))
    tally, found = compare_run(DOCUMENT, analysis)
    assert tally.sent_by == 1
    assert [each.kind for each in found] == ["ack sent by arrival is by call"]


def broken_off(kind: Literal["packet", "timer"]) -> tuple[Analysis, Analysis, KernelSays]:
    """A connection that a RST of the server's broke off, or so it seems; the kernel says by what at the client."""
    run = Exchange()
    tcp = run.tcp(server_port=7001).opened()
    tcp.client("send", b"hello")
    tcp("client P.", b"hello")
    tcp.server("recv", b"hello")
    tcp.server("setsockopt", args={"name": "SO_LINGER", "value": [1, 0]}, result=0)
    with tcp.server("close"):
        reset = tcp("server R.")
    analysis = run.analysis(output=OUTPUT)
    says = KernelSays(build_streams(analysis.inputs.joined, analysis.inputs.calls, analysis.inputs.observed))
    arrived = analysis.inputs.joined.crossings[reset].arrived or 0
    opening = KernelEvent(0, "inet_sock_set_state", 0, interrupt=True, host="client")
    ending = replace(opening, time=arrived + 10)
    packets = (reset,) if kind == "packet" else ()
    says.changes[0, "client"] = [
        StateChange(opening, 0, "SYN_SENT", "ESTABLISHED", "packet", ()),
        StateChange(ending, 0, "ESTABLISHED", "CLOSE", kind, (), packets=packets),
    ]
    return analysis, analysis, says


def test_facts_of_the_verdict_are_held_against_the_kernels_states() -> None:
    right = [why for fact, why in check_verdict(*broken_off("packet")) if isinstance(fact, BrokenOff)]
    wrong = [why for fact, why in check_verdict(*broken_off("timer")) if isinstance(fact, BrokenOff)]
    assert right == [None]
    assert wrong == ["#4 ended nothing; ESTABLISHED to CLOSE by timer at client"]


def test_a_verdict_that_is_silent_about_a_connections_end_is_one_that_disagrees() -> None:
    analysis, blind, says = broken_off("timer")
    assert not list(silent(analysis, blind, says))
    blind = replace(blind, verdict=())
    assert [each.kind for each in silent(analysis, blind, says)] == ["verdict silent: ESTABLISHED to CLOSE by timer"]


def test_reasons_for_no_packet_are_held_against_the_kernels_states() -> None:
    analysis, blind, says = broken_off("timer")
    call = call_ref(analysis.inputs.calls["client"][-1])
    reset = Reset(PacketRef(4), "server")
    blind = replace(blind, no_packet={("client", call.n): NoPacket(NoPacketReason.RESET_BEFORE, reset=reset)})
    checked: Counter[str] = Counter()
    [found] = check_absences(blind, says, checked)
    assert found.kind == "no packet: send reset-before"
    assert checked == {"by the kernel's states and stacks": 1}
    assert not list(check_absences(blind, broken_off("packet")[2], Counter()))


def test_kept_runs_are_found_by_their_numbers(tmp_path: Path) -> None:
    for number in (3, 1):
        (tmp_path / f"{number:06}").mkdir()
        (tmp_path / f"{number:06}" / "drawn.json").write_text("{}")
    (tmp_path / "000002").mkdir()
    assert [path.name for path in kept_runs(tmp_path)] == ["000001", "000003"]


def test_a_campaign_goes_on_from_what_it_wrote() -> None:
    campaign = Campaign(9)
    tally, found = compare_run(DOCUMENT, proven(analysed(OUTPUT), 4, CauseName.DELAYED_ACK))
    for document in (DRAWN[0], DRAWN[1]):
        campaign.take(Measured(0, document, tally, found))
        campaign.next += 1
    small = min(DRAWN[:2], key=size)
    assert campaign.smallest["cause ack is delayed-ack"][0] == small
    again = from_json(json.loads(json.dumps(as_json(campaign))))
    assert again == campaign
    assert "ack                     delayed-ack                   2" in "\n".join(confusion(again.tally))
    assert any(line.startswith("inferred and contradicted:       2") for line in lines(again, 1.0))


def test_nothing_contradicted_and_nothing_open_is_true() -> None:
    tally = Tally(packets=1000)
    tally.open["retransmission"] = 5
    assert is_true(tally)
    tally.open["retransmission"] = 6
    assert not is_true(tally)
