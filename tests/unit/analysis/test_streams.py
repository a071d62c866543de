"""Which bytes each call moved: over processes, threads, reused descriptors and reused addresses."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from testbed.analysis.calls.streams import Share, Streams, build_streams
from testbed.model import Endpoint, SocketInfo
from tests.builders.exchange import MS, US, Exchange
from tests.nonempty import nonempty


def streams_of(run: Exchange) -> Streams:
    return build_streams(run.joined(), run.calls(), run.observed)


def ranges(shares: tuple[Share, ...]) -> list[tuple[int, int, int]]:
    return [(share.call.n, share.start, share.end) for share in shares]


def test_each_connection_has_its_own_stream() -> None:
    """Calls on a hundred interleaved connections, all with the same descriptor numbers in processes of their own."""
    run = Exchange()
    connections = [run.tcp(40000 + k) for k in range(100)]
    for tcp in connections:
        tcp.opened()
    for turn in range(3):
        for k, tcp in enumerate(connections):
            tcp.client("send", bytes([turn, k]), pid=100 + k)
            tcp("client P.", bytes([turn, k]))
    found = streams_of(run)
    for k, tcp in enumerate(nonempty(connections)):
        shares = found.stream(tcp.index, "client", "out").shares
        assert [(share.start, share.call.data) for share in shares] == [(2 * t, bytes([t, k])) for t in range(3)]


def test_without_cookies_a_reused_descriptor_is_told_apart_by_its_generation() -> None:
    run = Exchange()
    for port in (40000, 40001):
        tcp = run.tcp(port, cookies=False)
        run.call("client", "socket", fd=3, result=3, socket=SocketInfo(0, "tcp"))
        tcp.opened()
        tcp.client("send", bytes(f"{port}", "ascii"))
        tcp("client P.", bytes(f"{port}", "ascii"))
        tcp.client("close")
    found = streams_of(run)
    written = [found.stream(flow, "client", "out").shares[0].call.data for flow in (0, 1)]
    assert written == [b"40000", b"40001"]


def test_a_reused_four_tuple_goes_to_its_own_flow() -> None:
    """Two connections from one port, one after the other: the connect precedes its own SYN."""
    for cookies in (True, False):
        run = Exchange()
        for word in (b"first", b"second"):
            tcp = run.tcp(isn=(len(word), 5000), cookies=cookies)
            run.call("client", "socket", fd=3, result=3, socket=SocketInfo(0, "tcp"))
            tcp.opened()
            tcp.client("send", word)
            tcp("client P.", word)
            tcp.client("close")
            tcp("client F.")
            run.pause(1)
        found = streams_of(run)
        assert [found.stream(flow, "client", "out").shares[0].call.data for flow in (0, 1)] == [b"first", b"second"]


def test_a_connect_belongs_to_the_syn_that_follows_it() -> None:
    """Two connections from one port, of which an observer saw only the second one's socket."""
    run = Exchange()
    for turn in range(2):
        tcp = run.tcp(isn=(turn, 5000))
        made = len(run.made["client"])
        tcp.opened()
        tcp("client F.")
        if turn == 0:
            del run.made["client"][made:]
        run.pause(1)
    assert streams_of(run).flow_of["client", 0] == 1


def test_a_refused_attempt_and_the_next_one_on_the_same_socket_are_two_flows() -> None:
    run = Exchange()
    server = Endpoint("198.18.0.3", 10011)
    unbound = SocketInfo(7, "tcp", None, None)
    where = {"address": str(server)}
    for port, word in ((40000, None), (40001, "ECONNREFUSED"), (40002, "ECONNREFUSED")):
        tcp = run.tcp(port)
        errno = "ECONNREFUSED" if word or port == 40000 else None
        with run.call("client", "connect", errno=errno, args=where, socket=unbound):
            tcp("client S")
            tcp("server R.", seq=0, raw_seq=0)
    found = streams_of(run)
    assert [found.flow_of["client", n] for n in range(3)] == [0, 1, 2]


def test_a_connect_that_failed_before_its_syn_does_not_take_the_next_ones_flow() -> None:
    run = Exchange()
    where = {"address": "198.18.0.3:10011"}
    run.call("client", "connect", errno="ENETUNREACH", args=where, socket=SocketInfo(8, "tcp"))
    run.pause(1)
    tcp = run.tcp()
    with run.call("client", "connect", args=where, socket=SocketInfo(9, "tcp")):
        tcp("client S")
        tcp("server S.")
    found = streams_of(run)
    assert ("client", 0) not in found.flow_of
    assert found.flow_of["client", 1] == 0


def test_processes_that_share_a_socket_write_one_stream() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.server("send", b"parent ", pid=200)
    tcp.server("send", b"child ", pid=201)
    tcp.server("send", b"parent", pid=200)
    tcp("server P.", b"parent child parent")
    assert ranges(streams_of(run).stream(0, "server", "out").shares) == [(2, 0, 7), (3, 7, 13), (4, 13, 19)]


def test_overlapping_calls_of_threads_are_ordered_by_the_wire() -> None:
    """The call that began first wrote second; the bytes on the wire show it."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"second", tid=1) as first, tcp.client("send", b"first", tid=2) as second:
        tcp("client P.", b"firstsecond")
    found = streams_of(run).stream(0, "client", "out").shares
    assert ranges(found) == [(second.n, 0, 5), (first.n, 5, 11)]
    assert not any(share.ambiguous for share in found)


def test_a_call_that_had_returned_before_another_began_wrote_first() -> None:
    """Also within a crowd of overlapping calls: the two equal messages are not ambiguous."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"zz", tid=3):
        tcp.client("send", b"x", tid=1)
        tcp.client("send", b"x", tid=2)
        tcp("client P.", b"xxzz")
    shares = streams_of(run).stream(0, "client", "out").shares
    assert [share.call.tid for share in shares] == [1, 2, 3]
    assert not any(share.ambiguous for share in shares)


def test_without_digests_the_first_bytes_decide() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"second", tid=1, digest=None), tcp.client("send", b"first", tid=2, digest=None):
        tcp("client P.", b"firstsecond")
    assert [share.call.tid for share in streams_of(run).stream(0, "client", "out").shares] == [2, 1]


def test_what_content_cannot_tell_is_marked_ambiguous() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"same", tid=1), tcp.client("send", b"same", tid=2):
        tcp("client P.", b"samesame")
    assert streams_of(run).stream(0, "client", "out").shares[0].ambiguous


@given(st.lists(st.lists(st.binary(min_size=1, max_size=6), min_size=1, max_size=4), min_size=2, max_size=3), st.data())
def test_any_interleaving_of_threads_is_found_again(threads: list[list[bytes]], data: st.DataObject) -> None:
    """Threads write tagged messages at the same time; the order on the wire is found, whatever it was."""
    run = Exchange()
    tcp = run.tcp().opened()
    messages = [[bytes([65 + t, 48 + k]) + text for k, text in enumerate(texts)] for t, texts in enumerate(threads)]
    begin = run.now
    for t, texts in enumerate(messages):
        for k, text in enumerate(texts):
            start = begin + k * MS + t * US
            tcp.client("send", text, tid=t, start=start, end=start + 10 * MS if k == len(texts) - 1 else start + MS - 1)
    turns = data.draw(st.permutations([t for t, texts in enumerate(messages) for _ in texts]))
    queues = [iter(texts) for texts in messages]
    for made in run.made["client"]:  # all overlap: each thread's own calls still follow one another
        if made.fields["name"] == "send":
            made.fields["start"], made.fields["end"] = begin, begin + 100 * MS
    wire = [next(queues[t]) for t in turns]
    tcp("client P.", b"".join(wire))
    found = streams_of(run).stream(0, "client", "out").shares
    assert [share.call.data for share in found] == wire
    assert not any(share.ambiguous for share in found)


def test_a_peek_moves_nothing() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp("client P.", b"abc")
    tcp.server("recv", b"abc", args={"flags": "MSG_PEEK"})
    tcp.server("recv", b"abc", args={"flags": "MSG_DONTWAIT"})
    assert ranges(streams_of(run).stream(0, "server", "in").shares) == [(3, 0, 3)]


def test_an_urgent_byte_is_read_out_of_band() -> None:
    """The normal reads go around it, unless SO_OOBINLINE put it among them."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"ab")
    tcp.client("send", b"!", args={"flags": "MSG_OOB"})
    tcp.client("send", b"cd")
    tcp("client PU.", b"ab!cd")
    tcp.server("recv", b"ab")
    tcp.server("recv", b"cd")
    tcp.server("recv", b"!", args={"flags": "MSG_OOB"})
    shares = streams_of(run).stream(0, "server", "in").shares
    assert [(share.call.data, share.start) for share in shares] == [(b"ab", 0), (b"!", 2), (b"cd", 3)]


def test_datagrams_are_matched_by_content_not_by_place() -> None:
    """One was lost on the way and one was read by an unconnected socket without asking who had sent it."""
    run = Exchange()
    udp = run.udp()
    for word, lost in ((b"one", False), (b"two", True), (b"three", False)):
        udp.client("send", word)
        udp("client", word, lost=lost)
    udp.server("recvfrom", b"one", args={"address": "198.18.0.2:40000"})
    udp.server("recv", b"three")
    found = streams_of(run)
    assert [pair.crossing for pair in found.datagrams[0, "client", "out"]] == [0, 1, 2]
    assert [pair.crossing for pair in found.datagrams[0, "server", "in"]] == [0, 2]


def test_reads_without_an_address_find_their_sender_by_content() -> None:
    """Two clients talk to one unconnected socket that is read with plain recv."""
    run = Exchange()
    one, two = run.udp(40000), run.udp(40001)
    one("client", b"from one")
    two("client", b"from two")
    one.server("recv", b"from one")
    one.server("recv", b"from two")
    found = streams_of(run)
    assert [found.flow_of["server", n] for n in (0, 1)] == [0, 1]


def test_reads_without_content_and_port_find_their_sender_by_order() -> None:
    """As the kernel's trace has them: of a socket that only reads, lengths; its port is the one that is left."""
    run = Exchange()
    one, two = run.udp(40000), run.udp(40001)
    for udp, data in ((one, b"aa"), (two, b"bb"), (one, b"ccc")):
        udp("client", data)
    for length in (2, 2, 3):
        run.call("server", "recv", length, socket=SocketInfo(2, "udp"))
    found = streams_of(run)
    assert [found.flow_of["server", n] for n in (0, 1, 2)] == [0, 1, 0]
    other = run.udp(40002, 6000)  # now there are two ports that it may be
    other("client", b"dd")
    assert streams_of(run).flow_of == {}


def test_offsets_beyond_four_gigabytes() -> None:
    """Relative numbers go on after the 32-bit sequence number has wrapped; holes cost no memory."""
    run = Exchange()
    tcp = run.tcp(isn=(2**32 - 5, 5000)).opened()
    far = 2**32 + 3
    tcp("client P.", b"near")
    tcp("client P.", b"far", seq=far + 1)
    wire = streams_of(run).wire(0, "client", "sent")
    assert [(piece.start, piece.data) for piece in wire.runs] == [(0, b"near"), (far, b"far")]
    assert wire.slice(far, far + 3) == b"far"


@given(st.data())
def test_a_wire_is_put_together_from_any_pieces(data: st.DataObject) -> None:
    """Segments cut, repeated and reordered at random: the distinct bytes come out, in one run where they touch."""
    size = data.draw(st.integers(1, 40))
    content = bytes(range(size))
    run = Exchange()
    tcp = run.tcp().opened()
    seen: set[int] = set()
    edge = st.integers(0, size)
    cuts = data.draw(st.lists(st.tuples(edge, edge).filter(lambda pair: pair[0] < pair[1]), max_size=12))
    for low, high in cuts:
        tcp("client .", content[low:high], seq=low + 1)
        seen.update(range(low, high))
    wire = streams_of(run).wire(0, "client", "sent")
    assert wire.total == len(seen)
    assert {piece.start + k for piece in wire.runs for k in range(len(piece.data))} == seen
    assert all(piece.data == content[piece.start : piece.end] for piece in wire.runs)
    assert all(a.end < b.start for a, b in itertools.pairwise(wire.runs))
    assert wire.covered(0, size) == len(seen)


def test_bytes_that_no_logged_call_wrote_shift_nobody() -> None:
    """As with io_uring between two sends: the second send is where its bytes are, and between them is a hole."""
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"first;")
    tcp.client("send", b"second;")
    tcp("client P.", b"first;")
    tcp("client P.", b"unseen;")
    tcp("client P.", b"second;")
    shares = streams_of(run).stream(0, "client", "out").shares
    assert [(share.start, share.end, share.ambiguous) for share in shares] == [(0, 6, False), (13, 20, False)]
    found = run.analysis()
    assert [cause.rule for cause in found.causes[3:]] == ["data", "unlogged-data", "data"]
    assert [cause.calls for cause in found.causes[4:]] == [(), (2,)]


def test_a_write_that_fits_in_two_places_behind_unseen_bytes_is_ambiguous() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"x")
    tcp("client P.", b"axbx")
    (share,) = streams_of(run).stream(0, "client", "out").shares
    assert (share.start, share.ambiguous) == (1, True)


def test_no_write_stands_where_there_is_no_room_for_those_behind_it() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"x")
    tcp.client("send", b"yx")
    tcp("client P.", b"axyx")
    shares = streams_of(run).stream(0, "client", "out").shares
    assert [(share.start, share.end, share.ambiguous) for share in shares] == [(1, 2, False), (2, 4, False)]
