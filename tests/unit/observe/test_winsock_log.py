"""The log of a Windows program as calls: real lines of compose/winprobe, and lines that tell what it cannot hold."""

from __future__ import annotations

from testbed.model import Call, Endpoint, SocketInfo
from testbed.observe.winsock.winsock_log import decode, seen

LISTENER = '"sock":[1,"tcp","0.0.0.0:10151",null]'
CONNECTION = '"sock":[2,"tcp","198.18.0.3:10151","198.18.0.2:57006"]'
LOG = f"""\
{{"begins":134404370547531819,"pid":48,"program":"server.exe"}}
{{"k":1,"tid":52,"call":"WSASocket","fd":-1,"args":{{"domain":2,"type":1,"protocol":6}},"at":134404370547790136}}
{{"k":1,"to":134404370547791021,"result":136,"error":0,"sock":[1,"tcp",null,null]}}
{{"k":3,"tid":52,"call":"WSAAsyncSelect","fd":136,{LISTENER},"args":{{"events":41}},"at":134404370547829288}}
{{"k":3,"to":134404370547829542,"result":0,"error":0,{LISTENER}}}
{{"at":134404370548071536,"tid":52,"message":8,"fd":136,"error":0,{LISTENER}}}
{{"k":5,"tid":52,"call":"accept","fd":136,{LISTENER},"at":134404370548073423}}
{{"k":5,"to":134404370548074245,"result":168,"error":0,{CONNECTION}}}
{{"at":134404370548076630,"tid":52,"message":1,"fd":168,"error":0,{CONNECTION}}}
{{"k":6,"tid":52,"call":"recv","fd":168,{CONNECTION},"args":{{"size":1}},"at":134404370548077626}}
{{"k":6,"to":134404370548078120,"result":1,"error":0,{CONNECTION},"moved":1,"data":"63","digest":"8c40219a46b9f81b"}}
{{"k":7,"tid":52,"call":"recv","fd":168,{CONNECTION},"args":{{"size":9,"flags":2}},"at":134404370548078200}}
{{"k":7,"to":134404370548078300,"result":1,"error":0,{CONNECTION},"moved":1,"data":"64","digest":"00"}}
{{"k":8,"tid":52,"call":"setsockopt","fd":168,{CONNECTION},"args":{{"level":65535,"option":128,"value":"01000500"}},\
"at":134404370548078400}}
{{"k":8,"to":134404370548078401,"result":-1,"error":10022,{CONNECTION}}}
{{"k":9,"tid":52,"call":"closesocket","fd":168,{CONNECTION},"at":134404370548078969}}
{{"k":9,"to":134404370548079826,"result":0,"error":0}}
{{"at":134404370548080150,"tid":52,"message":32,"fd":168,"error":10054,"sock":[2,"tcp",null,null]}}
{{"k":10,"tid":52,"call":"recv","fd":168,"sock":[2,"tcp",null,null],"args":{{"size":1}},"at":134404370548080200}}
{{"at":134404370548086940,"tid":52,"ends":1}}
"""


def calls(log: str = LOG) -> dict[str, Call]:
    """Return the last call of each name."""
    decoded = decode({"winsock-48.jsonl": log.encode(), "12.log": b"the probe's"}, "server")
    assert decoded.problems == []
    assert [call.n for call in decoded.calls] == list(range(len(decoded.calls)))
    return {call.name: call for call in decoded.calls}


def test_calls_and_messages_in_their_order() -> None:
    names = " ".join(call.name for call in decode({"winsock-48.jsonl": LOG.encode()}, "server").calls)
    assert names == (
        "socket WSAAsyncSelect FD_ACCEPT accept FD_READ recv recv setsockopt closesocket FD_CLOSE recv exit"
    )


def test_a_newer_function_is_the_older_one_and_keeps_its_name() -> None:
    made = calls()["socket"]
    assert (made.result, made.args["function"], made.args["domain"]) == (136, "WSASocket", "AF_INET")


def test_times_are_of_the_unix_epoch_and_hold_what_happened_within() -> None:
    """A start is rounded down to 100 ns, an end up."""
    made = calls()["closesocket"]
    assert (made.start, made.end) == (1_795_963_454_807_896_900, 1_795_963_454_807_982_699)


def test_an_accept_names_the_socket_that_it_made() -> None:
    made = calls()
    local, peer = "198.18.0.3:10151", "198.18.0.2:57006"
    cookie = 48 << 32 | 2
    assert made["accept"].args["accepted"] == {"fd": 168, "cookie": cookie, "local": local, "peer": peer}
    assert made["accept"].socket == SocketInfo(48 << 32 | 1, "tcp", Endpoint("0.0.0.0", 10151))  # noqa: S104 - compared, not bound
    expected = SocketInfo(cookie, "tcp", Endpoint("198.18.0.3", 10151), Endpoint("198.18.0.2", 57006))
    assert made["FD_READ"].socket == made["closesocket"].socket == expected


def test_a_peek_moves_nothing_and_a_call_that_did_not_return_has_no_end() -> None:
    log = decode({"winsock-48.jsonl": LOG.encode()}, "server").calls
    read, peeked, unfinished = (call for call in log if call.name == "recv")
    assert (read.length, read.data, read.digest) == (1, b"c", "8c40219a46b9f81b")
    assert (peeked.length, peeked.data, peeked.args["flags"]) == (0, b"", "MSG_PEEK")
    assert unfinished.end is None


def test_errors_have_the_names_of_posix() -> None:
    made = calls()
    assert (made["setsockopt"].errno, made["setsockopt"].args["winsock_error"]) == ("EINVAL", 10022)
    assert made["setsockopt"].args["name"] == "SO_LINGER"
    assert made["setsockopt"].args["value"] == {"onoff": 1, "linger": 5}
    assert made["FD_CLOSE"].errno == "ECONNRESET"
    assert made["WSAAsyncSelect"].args["events"] == "FD_READ|FD_ACCEPT|FD_CLOSE"


def test_what_a_log_cannot_hold_is_told() -> None:
    log = LOG + '{"blind":"overlapped"}\n{"k":11,"to":1344'
    decoded = decode({"winsock-48.jsonl": log.encode()}, "server")
    assert decoded.problems == [
        "`server.exe`: it made overlapped calls that completed later: their bytes are not in the log",
        "`server.exe`: 1 lines of its log cannot be read",
    ]


def test_a_program_that_only_ended_was_not_seen() -> None:
    log = '{"begins":134404370547531819,"pid":8,"program":"a.exe"}\n{"at":134404370548086940,"tid":52,"ends":1}\n'
    decoded = decode({"winsock-8.jsonl": log.encode()}, "client")
    assert decoded.programs == ["a.exe"]
    assert not seen(decoded.calls)
    assert seen(decode({"winsock-48.jsonl": LOG.encode()}, "server").calls)
