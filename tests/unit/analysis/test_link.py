"""The link's journal against the captures: agreement is found, every disagreement is told."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from testbed.analysis.analyse import analyse
from testbed.analysis.link_check import match_journal
from testbed.model import (
    CauseKind,
    Crossing,
    Endpoint,
    Fate,
    Flow,
    Host,
    Inputs,
    Joined,
    LinkAction,
    LinkEffect,
    LinkFault,
    LinkJournal,
    LinkOrigin,
    LinkRecord,
    Outcome,
    peer_of,
)
from testbed.report.text.link_text import link_texts

MS = 1_000_000
FLOW = Flow(0, "tcp", Endpoint("198.18.0.2", 40000), Endpoint("198.18.1.3", 10011), 1000, 2000)
FAULTS = (
    LinkFault(0, LinkAction.DROP, "drop: {from: client, of: data}"),
    LinkFault(1, LinkAction.FORGE, "forge: {from: client, of: data, packet: rst}"),
)
Sent = tuple[Host, int, bool]
"""Sender, sequence number (few, so that many packets are the same), and whether the link dropped it."""


def crossing(n: int, sender: Host, seq: int, sent: int | None, arrived: int | None, flags: str = ".") -> Crossing:
    return Crossing(n, 0, sender, "tcp", flags, seq, 1, seq, 100, 0, 0, b"", sent, arrived, 1, 1)


def record(n: int, sender: Host, seq: int, time: int, left: int | None) -> LinkRecord:
    own, other = (FLOW.endpoint(host) for host in (sender, peer_of(sender)))
    actions = (LinkAction.DELAY if left is not None else LinkAction.LOSS,)
    return LinkRecord(n, sender, time, left, "tcp", own, other, ".", seq, 0, n, actions)


def forged(sender: Host, seq: int, left: int) -> LinkRecord:
    own, other = (FLOW.endpoint(host) for host in (sender, peer_of(sender)))
    return LinkRecord(
        *(None, sender, left, left, "tcp", own, other, "R", seq, 0, 0),
        faults=(1,),
        made="forged",
        about="client",
        of=1,
    )


def run(packets: list[Sent]) -> tuple[Joined, LinkJournal]:
    """The crossings and the journal of packets sent 1 ms apart."""
    crossings = []
    records = []
    counts: dict[Host, int] = {"client": 0, "server": 0}
    for index, (sender, seq, dropped) in enumerate(packets):
        counts[sender] += 1
        sent = index * MS
        left = None if dropped else sent + 5 * MS
        crossings.append(crossing(index, sender, seq, sent, None if left is None else left + 10))
        records.append(record(counts[sender], sender, seq, sent + 5, left))
    joined = Joined((FLOW,), tuple(crossings), {"client": 0, "server": 0}, {"client": {}, "server": {}})
    return joined, LinkJournal(tuple(records), FAULTS, {"client": 0, "server": 0}, complete=True)


PACKETS = st.lists(
    st.tuples(st.sampled_from(("client", "server")), st.integers(1, 3), st.booleans()), min_size=1, max_size=30
)


@given(PACKETS)
def test_each_lost_packet_has_its_drop_and_each_other_its_delay(packets: list[Sent]) -> None:
    joined, journal = run(packets)
    met, problems = match_journal(joined, journal)
    assert problems == ()
    for packet in met.crossings:
        lost = packet.fate is Fate.LOST
        assert packet.link == (LinkEffect(LinkAction.LOSS) if lost else LinkEffect(LinkAction.DELAY, 5 * MS - 5),)
        assert link_texts(packet.link) == ("lost by chance" if lost else "delayed 5.000 ms",)


@given(PACKETS, st.data())
def test_a_packet_lost_without_a_drop_is_told(packets: list[Sent], data: st.DataObject) -> None:
    joined, journal = run([*packets, ("client", 1, False)])
    crossed = [packet.n for packet in joined.crossings if packet.fate == "crossed"]
    n = data.draw(st.sampled_from(crossed))
    crossings = [replace(packet, arrived=None) if packet.n == n else packet for packet in joined.crossings]
    _, problems = match_journal(replace(joined, crossings=tuple(crossings)), journal)
    assert any("is lost, but the link let it go" in problem for problem in problems)


@given(PACKETS, st.data())
def test_a_drop_without_a_loss_is_told(packets: list[Sent], data: st.DataObject) -> None:
    joined, journal = run([*packets, ("server", 2, False)])
    passed = [index for index, one in enumerate(journal.records) if one.left is not None]
    index = data.draw(st.sampled_from(passed))
    records = [replace(one, left=None) if at == index else one for at, one in enumerate(journal.records)]
    _, problems = match_journal(joined, replace(journal, records=tuple(records)))
    assert any("arrived, but the link dropped it" in problem for problem in problems)


def test_a_packet_that_never_came_to_the_link_is_told() -> None:
    joined, journal = run([("client", 1, False)])
    lost = replace(joined, crossings=(replace(joined.crossings[0], arrived=None),))
    _, problems = match_journal(lost, replace(journal, records=()))
    assert problems == ("#0 is lost, and it never came to the link",)


def test_what_does_not_agree_is_listed_in_the_order_of_the_packets() -> None:
    """Not in the order of a set, which is another in each process."""
    lost = tuple(crossing(n, "client", 1000 * n, n * MS, None) for n in range(5))
    _, problems = match_journal(
        Joined((FLOW,), lost, {}, {}), LinkJournal((), FAULTS, {"client": 0, "server": 0}, True)
    )
    assert [text.split()[0] for text in problems] == ["#0", "#1", "#2", "#3", "#4"]


def test_a_packet_that_nobody_captured_is_told() -> None:
    joined, journal = run([("client", 1, False)])
    _, problems = match_journal(replace(joined, crossings=()), journal)
    assert "1 packets [.] from the client that no capture shows" in problems[0]


def test_what_the_kernel_lost_is_told_once_and_explains_as_many() -> None:
    """Overflow before the link: the count is named, the packet is not blamed on the wire as well."""
    joined, journal = run([("client", 1, False)])
    lost = replace(joined, crossings=(replace(joined.crossings[0], arrived=None),))
    _, problems = match_journal(lost, replace(journal, records=(), overflow={"client": 1, "server": 0}))
    assert problems == ("the kernel lost 1 packets from the client before the link saw them",)


def test_a_packet_that_the_link_made_is_named_and_one_that_it_did_not_is_told() -> None:
    joined, journal = run([("client", 1, False)])
    appeared = crossing(1, "client", 7, None, 6 * MS, "R")
    both = replace(joined, crossings=(*joined.crossings, appeared))
    met, problems = match_journal(both, replace(journal, records=(*journal.records, forged("client", 7, 6 * MS))))
    assert problems == ()
    assert met.crossings[1].made == "forged"
    assert met.crossings[1].link == (LinkOrigin("forged", of=0, faults=FAULTS[1:]),)
    assert link_texts(met.crossings[1].link) == (f"forged by the link behind #0 ({FAULTS[1].text})",)
    _, problems = match_journal(both, journal)
    assert problems == ("#1 appeared, but the link did not make it",)
    _, problems = match_journal(joined, replace(journal, records=(*journal.records, forged("client", 7, 6 * MS))))
    assert problems == ("the link made a packet (forged) as from the client that did not arrive",)


def test_a_journal_without_its_end_is_told() -> None:
    joined, journal = run([("client", 1, False)])
    assert match_journal(joined, replace(journal, complete=False))[1] == ("the link's journal has no end",)


def test_fragments_are_one_packet_and_one_lost_fragment_loses_it() -> None:
    joined, journal = run([("client", 1, True)])
    first = replace(journal.records[0], left=5 * MS, actions=(LinkAction.DELAY,), ip_id=9)
    later = replace(first, n=2, left=None, actions=(LinkAction.DROP,), faults=(0,), part=True, time=6)
    later = replace(later, source=replace(first.source, port=0), target=replace(first.target, port=0))
    met, problems = match_journal(joined, replace(journal, records=(later, first)))
    assert problems == ()
    assert met.crossings[0].link == (LinkEffect(LinkAction.DROP, faults=FAULTS[:1]),)
    assert link_texts(met.crossings[0].link) == (f"dropped ({FAULTS[0].text})",)


def test_a_fault_of_a_plan_that_is_not_known_still_drops() -> None:
    """A run whose scenario this version cannot read: the journal alone names the action."""
    joined, journal = run([("client", 1, True)])
    dropped = replace(journal.records[0], actions=(LinkAction.DROP,), faults=(0,))
    met, problems = match_journal(joined, replace(journal, records=(dropped,), faults=()))
    assert problems == ()
    assert link_texts(met.crossings[0].link) == ("dropped",)


def inputs(joined: Joined, journal: LinkJournal, cut_short: str = "") -> Inputs:
    empty: dict[Host, str] = {"client": "", "server": ""}
    observed: dict[Host, str] = {"client": "none", "server": "none"}
    return Inputs(joined, {}, observed, (), empty, link=journal, cut_short=cut_short, failures=())


def test_disagreement_makes_a_run_inconclusive_and_agreement_does_not() -> None:
    joined, journal = run([("client", 1, True)])
    assert analyse(inputs(joined, journal)).outcome is Outcome.PASS
    assert analyse(inputs(joined, replace(journal, records=()))).outcome is Outcome.INCONCLUSIVE


def test_a_link_that_died_makes_a_run_inconclusive_whatever_failed() -> None:
    joined, journal = run([("client", 1, True)])
    broken = replace(inputs(joined, journal, cut_short="the link program died"), failures=("client: failed",))
    analysis = analyse(broken)
    assert analysis.outcome is Outcome.INCONCLUSIVE
    assert analysis.reasons[0] == "the link program died"


def test_a_forged_packet_has_the_link_as_its_cause() -> None:
    joined, journal = run([("client", 1, False)])
    both = replace(joined, crossings=(*joined.crossings, crossing(1, "client", 7, None, 6 * MS, "R")))
    analysis = analyse(inputs(both, replace(journal, records=(*journal.records, forged("client", 7, 6 * MS)))))
    assert (analysis.causes[1].kind, analysis.causes[1].rule) == (CauseKind.LINK, "link-forged")


def test_what_failed_where_the_machine_itself_let_packets_overtake_each_other_is_inconclusive() -> None:
    first, second, other = (crossing(n, "client", n, n * MS, (n + 1) * MS, ".") for n in range(3))
    late = replace(first, arrived=5 * MS)
    joined, journal = run([])
    flows = replace(joined, crossings=(first, second, other))
    failed = replace(inputs(flows, journal), link=None, failures=("client: recv: ECONNRESET",))
    assert analyse(failed).outcome is Outcome.FAIL
    stirred = replace(failed, joined=replace(joined, crossings=(late, second, other)))
    assert analyse(stirred).outcome is Outcome.INCONCLUSIVE
    assert analyse(stirred).reasons == (
        "a packet was overtaken between the hosts, where no link is: by a machine too busy; run it again",
        "client: recv: ECONNRESET",
    )
    assert analyse(replace(stirred, failures=())).outcome is Outcome.PASS
