"""Each kind of expectation: met, not met, and not to be decided."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from testbed.model import Check, Outcome, Program, ProgramEnd, StopReason
from testbed.report.evidence_text import sentence
from testbed.scenario.expect.all_expectations import AnyExpectation, WrittenExpectation
from tests.builders.exchange import START, Exchange

ADAPTER: TypeAdapter[WrittenExpectation] = TypeAdapter(AnyExpectation)


def origin(*, delayed_ack: bool = False, probe: bool = False) -> Exchange:
    """The experiment's calls: c, then cstring; optionally with what TCP may do besides."""
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"c"):
        tcp("client P.", b"c")
    if not delayed_ack:
        tcp("server .")
    if probe:
        tcp("client P.", b"c", seq=1)
        tcp("server .", options={"sack": [[1, 2]]})
    tcp.client("send", b"cstring")
    tcp("client P.", b"cstring")
    tcp("server .")
    tcp.server("recv", b"ccstring")
    with tcp.client("close"):
        tcp("client F.")
    with tcp.server("close"):
        tcp("server F.")
    tcp("client .")
    return run


def checked(run: Exchange, expectation: dict[str, Any], **given: Any) -> Check:
    return run.analysis([ADAPTER.validate_python(expectation).compiled()], **given).checks[0]


MET: list[dict[str, Any]] = [
    {"call": "connect", "packets": ["client S", "server S.", "client ."], "result": 0},
    {"call": "send", "nth": 1, "packets": ["client P."]},
    {"call": "send", "nth": 1, "packets": ["client P.", "server ."]},
    {"call": "send", "nth": 2, "packets": ["client P."], "result": 7},
    {"call": "close", "packets": ["client F.", "server ."]},
    {"call": "close", "host": "server", "packets": ["server F.", "client ."]},
    {"call": "recv", "host": "server", "packets": []},
    {"segments": {"client": ["c", "cstring"], "server": []}},
    {"segments": {"client": [{"bytes": "63"}, {"size": 7}]}},
    {"ledger": {"client": {"written": 8, "sent": 8, "arrived": 8, "acknowledged": 8, "read": 8}}},
    {"ledger": {"client": {"unread": 0, "content": "equal", "datagrams": 0}, "server": {"sent": 0}}},
    {"packets": {"from": "client", "flags": "S", "count": 1}},
    {"packets": {"from": "client", "flags": "P.", "count": ">=1"}},
    {"packets": {"from": "server", "flags": "R", "count": 0}},
    {"exit": {"client": 0, "server": 0}},
    {"output": {"server": "ccstring"}},
]
NOT_MET: list[dict[str, Any]] = [
    {"call": "connect", "packets": ["client S", "server S."], "result": 1},
    {"call": "connect", "packets": ["client S", "server R."]},
    {"call": "connect", "errno": "ECONNREFUSED"},
    {"call": "send", "nth": 1, "packets": ["client P.", "client P."]},
    {"call": "send", "nth": 1, "packets": []},
    {"call": "send", "nth": 3, "packets": ["client P."]},
    {"call": "close", "packets": ["client R."]},
    {"segments": {"client": ["c", "c", "string"]}},
    {"segments": {"client": ["c"]}},
    {"segments": {"client": [{"size": 1}, {"size": 8}]}},
    {"ledger": {"client": {"written": 8, "read": 1}}},
    {"ledger": {"client": {"unread": 7}}},
    {"packets": {"from": "client", "flags": "S", "count": 0}},
    {"packets": {"from": "server", "flags": "P.", "count": ">=1"}},
    {"exit": {"client": 1}},
    {"exit": {"client": "SIGSEGV"}},
    {"output": {"server": "something else"}},
]


@pytest.mark.parametrize("expectation", MET, ids=str)
def test_met(expectation: dict[str, Any]) -> None:
    found = checked(origin(), expectation, output={"client": "", "server": "got ccstring\n"})
    assert found.ok is True, found


@pytest.mark.parametrize("expectation", NOT_MET, ids=str)
def test_not_met(expectation: dict[str, Any]) -> None:
    """Each kind can fail, and shows expected and actual as different texts."""
    found = checked(origin(), expectation, output={"client": "", "server": "got ccstring\n"})
    assert found.ok is False, found
    assert found.expected != sentence(found.actual)


@pytest.mark.parametrize("run", [origin(delayed_ack=True), origin(probe=True)], ids=["delayed ack", "tail-loss probe"])
@pytest.mark.parametrize("expectation", [each for each in MET if "output" not in each], ids=str)
def test_what_tcp_may_do_besides_breaks_no_expectation(run: Exchange, expectation: dict[str, Any]) -> None:
    assert checked(run, expectation).ok is True


def test_an_ack_in_a_handshake_cannot_be_left_out() -> None:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect"):
        tcp("client S")
        tcp("server S.")
    expectation = {"call": "connect", "packets": ["client S", "server S.", "client ."]}
    assert checked(run, expectation).ok is False


def test_an_ack_that_never_came_in_any_form_is_missed() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    with tcp.client("send", b"c"):
        tcp("client P.", b"c")
    assert checked(run, {"call": "send", "packets": ["client P.", "server ."]}).ok is False


def test_a_fin_may_ride_on_data() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"c")
    with tcp.client("close"):
        tcp("client FP.", b"c")
    assert checked(run, {"call": "close", "packets": ["client F."]}).ok is True


def test_a_refused_connect() -> None:
    run = Exchange()
    tcp = run.tcp()
    with tcp.client("connect", errno="ECONNREFUSED"):
        tcp("client S")
        tcp("server R.", seq=0, raw_seq=0)
    expectation = {"call": "connect", "packets": ["client S", "server R."], "result": -1, "errno": "ECONNREFUSED"}
    assert checked(run, expectation).ok is True


def test_crossings() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp("client P.", b"ab", lost=True)
    tcp("client P.", b"cd", altered=b"cX")
    tcp("server .", appeared=True)
    assert checked(run, {"crossings": {"lost": 1, "altered": 1, "appeared": 1}}).ok is True
    found = checked(run, {"crossings": {"lost": 0, "altered": 1}})
    assert (found.ok, found.expected, sentence(found.actual)) == (False, "lost 0, altered 1", "lost 1, altered 1")


def test_expected_and_actual_read_alike() -> None:
    found = checked(origin(), {"segments": {"client": ["c", "c", "string"]}})
    assert (found.expected, sentence(found.actual)) == ("client: [c, c, string]", "client: [c, cstring]")
    found = checked(origin(), {"call": "connect", "packets": ["client S", "server R."], "errno": "ECONNREFUSED"})
    assert found.expected == "packets: client S, server R.; errno: ECONNREFUSED"
    assert sentence(found.actual) == "packets: client S, server S., client .; errno: none"


@pytest.mark.parametrize("expectation", [*MET, *NOT_MET], ids=str)
def test_an_incomplete_observation_decides_nothing_about_packets(expectation: dict[str, Any]) -> None:
    """What rests on captures or call logs is open; results, errno, exit and output still count."""
    output = {"client": "", "server": "got ccstring\n"}
    found = checked(origin(), expectation, output=output, incomplete=("the client's tap died",))
    if {"exit", "output"} & set(expectation):
        assert found.ok is (expectation in MET)
    elif "result" in expectation or "errno" in expectation:
        assert found.ok is not True or "packets" not in expectation
    else:
        assert found.ok is None


def test_a_wrong_errno_fails_even_an_incomplete_run() -> None:
    found = checked(origin(), {"call": "connect", "errno": "ECONNREFUSED"}, incomplete=("a tap died",))
    assert found.ok is False


def test_without_an_observer_its_calls_and_figures_are_open() -> None:
    run = origin()
    run.observed["server"] = "none"
    assert checked(run, {"call": "recv", "host": "server", "result": 8}).ok is None
    assert checked(run, {"ledger": {"client": {"read": 8}}}).ok is None
    assert checked(run, {"ledger": {"client": {"arrived": 8}}}).ok is True
    assert checked(run, {"ledger": {"client": {"arrived": 7, "read": 8}}}).ok is False


def test_a_program_that_was_stopped_or_did_not_run() -> None:
    stopped = Program("client", ("x",), "base", ProgramEnd(None, "SIGTERM", StopReason.TIMEOUT), START, START)
    found = checked(origin(), {"exit": {"client": 0}}, programs=(stopped,))
    assert (found.ok, sentence(found.actual)) == (False, "client: killed by SIGTERM, stopped: timeout")
    assert checked(origin(), {"exit": {"client": 0}}, programs=()).ok is None


def test_output_that_was_cut_may_have_held_the_text() -> None:
    cut = Program("client", ("x",), "base", ProgramEnd(0), START, START, output_truncated=True)
    assert checked(origin(), {"output": {"client": "late"}}, programs=(cut,)).ok is None


def test_a_check_tells_where_it_stands_and_decides_the_outcome() -> None:
    written = ADAPTER.validate_python({"exit": {"client": 7}})
    expectation = written.compiled("{exit: {client: 7}}", "scenarios/x.yaml:12")
    found = origin().analysis([expectation])
    assert found.checks[0].where == "scenarios/x.yaml:12"
    assert found.outcome is Outcome.FAIL
    assert found.reasons == ("not as expected: {exit: {client: 7}}",)


def on_kernel(release: str, kernels: str, exit_status: int = 0) -> tuple[Check, Outcome]:
    """Expect an exit status of the client on some kernels; the run was made on the kernel of ``release``."""
    wanted = ADAPTER.validate_python({"exit": {"client": exit_status}, "when": {"kernel": kernels}})
    found = origin().analysis([wanted.compiled("exit client", "x.yaml:9")], release=release)
    return found.checks[0], found.outcome


def test_an_expectation_for_this_kernel_is_judged() -> None:
    assert [(check.applies, check.ok) for check, _ in [on_kernel("6.4.12-cloud", "<6.5")]] == [(True, True)]
    failed, outcome = on_kernel("6.4.12", "<6.5", exit_status=1)
    assert (failed.ok, outcome) == (False, Outcome.FAIL)


def test_an_expectation_for_other_kernels_neither_holds_nor_fails() -> None:
    check, outcome = on_kernel("6.18.5", "<6.5", exit_status=1)
    assert (check.applies, check.ok, outcome) == (False, None, Outcome.PASS)
    assert (check.expected, sentence(check.actual)) == ("a kernel <6.5", "a kernel 6.18.5")


def test_where_the_kernel_is_not_known_it_cannot_be_checked() -> None:
    check, outcome = on_kernel("", "<6.5")
    assert (check.applies, check.ok, outcome) == (True, None, Outcome.INCONCLUSIVE)
    assert sentence(check.actual) == "a kernel of unknown version"
