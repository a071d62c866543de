"""Good files become the values that they say, whichever form they are written in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from testbed.model import expect
from testbed.model.errors import ScenarioError, UsageError
from testbed.model.expect import NONE, Limits
from testbed.run.scenario_to_lab import egress_of
from testbed.scenario.expect.expectations import PacketFigures
from testbed.scenario.language.endpoints import HostName, HostPort, fill
from testbed.scenario.load import load, parse
from testbed.scenario.scenario import Scenario
from testbed.scenario.steps.control_steps import SleepStep
from testbed.scenario.steps.opening_steps import BindStep, ConnectStep
from testbed.scenario.steps.sending_steps import SendStep
from testbed.scenario.steps.step import STEPS

ROOT = Path(__file__).parents[3]


def scenario(**keys: Any) -> Scenario:
    base: dict[str, Any] = {"summary": "x", "server": {"command": "prog"}, "client": {"command": "prog"}}
    text = yaml.safe_dump(base | keys, sort_keys=False)
    return parse(text.encode(), name="x", path=Path("x.yaml"), shown="x.yaml")


def test_everything_that_may_be_left_out_has_its_default() -> None:
    loaded = scenario()
    assert (loaded.ip, loaded.timeout, loaded.seed, loaded.offloads) == ((4,), 30.0, 1, False)
    assert (loaded.tags, loaded.about, loaded.expect) == ((), "", ())
    assert (loaded.observe.client, loaded.observe.server) == ("auto", "auto")
    assert (loaded.server.image, loaded.server.ready, loaded.server.until, loaded.server.exit) == (
        "host",
        None,
        None,
        0,
    )
    assert (loaded.client.env, loaded.client.sysctl, loaded.client.steps) == ({}, {}, None)


def test_a_command_is_a_list_or_text_split_as_a_shell_would() -> None:
    loaded = scenario(server={"command": "nginx -g 'daemon off;'"}, client={"command": ["prog", 10011, "{server}"]})
    assert loaded.server.command == ("nginx", "-g", "daemon off;")
    assert loaded.client.command == ("prog", "10011", "{server}")


def test_addresses_are_filled_in_and_doubled_braces_are_braces() -> None:
    addresses = {"client": "1.2.3.4", "server": "fd00::1"}
    assert fill("http://[{server}]/ {client} {{x}} %{{http_code}}", addresses) == (
        "http://[fd00::1]/ 1.2.3.4 {x} %{http_code}"
    )


def test_a_slow_interface_is_of_one_host() -> None:
    loaded = scenario(client={"command": "prog", "egress": "100kbit"})
    assert egress_of(loaded) == {"client": 100_000}
    assert egress_of(scenario()) == {}


def test_units_of_time_and_size() -> None:
    loaded = scenario(
        timeout="2m",
        client={"steps": [{"connect": "server:1"}, {"send": {"size": "8MiB", "chunk": "64KiB"}}, {"sleep": "1500ms"}]},
    )
    assert loaded.client.steps is not None
    _, send, sleep = loaded.client.steps
    assert loaded.timeout == 120.0
    assert isinstance(send, SendStep)
    assert (send.send.size, send.send.chunk) == (8 << 20, 64 << 10)
    assert isinstance(sleep, SleepStep)
    assert sleep.sleep == 1500


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"socket": "udp"}, {"socket": {"type": "udp", "nonblocking": False}}),
        ({"listen": 80}, {"listen": {"port": 80, "backlog": 128}}),
        ({"accept": None}, {"accept": {}}),
        ({"send": "c"}, {"send": {"text": "c", "flags": []}}),
        ({"sendmsg": ["a", "b"]}, {"sendmsg": {"parts": [{"text": "a"}, {"text": "b"}]}}),
        ({"recv": 5}, {"recv": {"size": 5}}),
        ({"recv_exact": "1KiB"}, {"recv_exact": {"size": 1024}}),
        ({"recv_all": None}, {"recv_all": {}}),
        ({"on_readable": "once"}, {"on_readable": {"read": "once", "size": 65536}}),
    ],
)
def test_short_and_long_form_of_a_step_mean_the_same(short: dict[str, Any], long: dict[str, Any]) -> None:
    model = STEPS[next(iter(short))]
    assert model.model_validate(short).model_dump() == model.model_validate(long).model_dump()


def test_endpoints() -> None:
    steps = scenario(
        server={"steps": [{"socket": "udp"}, {"bind": ":5000"}]},
        client={"steps": [{"socket": "udp"}, {"bind": "client:0"}, {"connect": "server:5000"}]},
    )
    assert steps.server.steps is not None
    assert steps.client.steps is not None
    assert steps.server.steps[1] == BindStep.model_validate({"bind": ":5000"})
    bind, connect = steps.client.steps[1:]
    assert isinstance(bind, BindStep)
    assert isinstance(connect, ConnectStep)
    assert (bind.bind, connect.connect) == (HostPort(HostName("client"), 0), HostPort(HostName("server"), 5000))


def test_names_of_addresses() -> None:
    """The second one, one of a version of IP, and both; alone the first of the lab's first version."""
    steps = [
        {"connect": f"{name}:80", "as": name.replace(".", "-")} for name in ("server.2", "server.v6", "server.2.v6")
    ]
    made = scenario(ip=[4, 6], server={"addresses": 2, "command": "nc -l {server.2.v6} 80"}, client={"steps": steps})
    assert (made.ip, made.server.addresses, made.client.addresses) == ((4, 6), 2, 1)
    assert [step.connect.name for step in made.client.steps or () if isinstance(step, ConnectStep)] == [
        HostName("server", 2),
        HostName("server", 1, 6),
        HostName("server", 2, 6),
    ]
    assert fill("{server.2.v6} {server}", {"server": "a", "server.2.v6": "b"}) == "b a"


def test_each_expectation_is_compiled_with_its_text_and_place() -> None:
    written: list[dict[str, Any]] = [
        {"segments": {"client": ["c", {"bytes": "00FF"}, {"size": "1KiB"}]}},
        {"call": "connect", "packets": ["client S", "server .S"], "result": -1, "errno": "ECONNREFUSED"},
        {"ledger": {"client": {"written": "8MiB", "content": "equal"}}},
        {"crossings": {"lost": 0}},
        {"packets": {"from": "server", "flags": ".R", "options": {"mss": 1460, "sack": False}, "count": ">=1"}},
        {"never": {"from": "server", "has": "F", "data": "x"}},
        {"order": ["client S", {"call": "close", "moment": "begins"}]},
        {"exit": {"client": 0, "server": "SIGSEGV"}},
        {"output": {"server": "text"}},
    ]
    loaded = scenario(expect=written).expectations
    payloads = (
        expect.ExpectedBytes(b"c", 1, "c"),
        expect.ExpectedBytes(b"\x00\xff", 2, '"00ff"'),
        expect.ExpectedBytes(None, 1024, "1024 bytes"),
    )
    syn = expect.PacketPattern("client S", "client", flags="S")
    options: dict[str, Limits | bool] = {"mss": Limits(1460, 1460, "1460"), "sack": False}
    assert [item.wanted for item in loaded] == [
        expect.ExpectedSegments({"client": payloads}),
        expect.ExpectedCall(
            host="client",
            call="connect",
            nth=1,
            packets=(syn, expect.PacketPattern("server S.", "server", flags="S.")),
            result=Limits(-1, -1, "-1"),
            errno="ECONNREFUSED",
        ),
        expect.ExpectedLedger({"client": {"written": Limits(8 << 20, 8 << 20, "8MiB"), "content": "equal"}}),
        expect.ExpectedCrossings({"lost": NONE}),
        expect.ExpectedPackets(
            expect.PacketPattern("server R. (options mss=1460 sack=no)", "server", flags="R.", options=options),
            Limits(1, None, ">=1"),
        ),
        expect.ExpectedPackets(expect.PacketPattern("server F+ (data x)", "server", has="F", data=b"x"), NONE),
        expect.ExpectedOrder((syn, expect.CallMoment("client", "close", 1, "begins"))),
        expect.ExpectedExit({"client": 0, "server": "SIGSEGV"}),
        expect.ExpectedOutput({"server": "text"}),
    ]
    assert [yaml.safe_load(item.text) for item in loaded] == written
    lines = [int(item.where.removeprefix("x.yaml:")) for item in loaded]
    assert lines == sorted(set(lines))
    assert all("\n" not in item.text for item in loaded)


@pytest.mark.parametrize(
    ("text", "fits", "fits_not"), [(2, [2], [1, 3]), (0, [0], [1]), (">=1", [1, 9], [0]), ("<=2", [0, 2], [3])]
)
def test_counts(text: object, fits: list[int], fits_not: list[int]) -> None:
    count = PacketFigures.model_validate({"from": "client", "count": text}).count
    assert isinstance(count, Limits)
    assert all(count.holds(number) for number in fits)
    assert not any(count.holds(number) for number in fits_not)
    assert str(count) == str(text)


def test_values_cannot_be_changed() -> None:
    loaded = scenario()
    with pytest.raises(ValidationError):
        loaded.seed = 2


def test_the_name_is_the_stem_and_the_text_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "my-case.yaml"
    path.write_text("summary: x\nserver: {command: a}\nclient: {command: b}\n", encoding="utf-8")
    loaded = load(path)
    assert (loaded.name, loaded.path, loaded.source) == ("my-case", path, path.read_text(encoding="utf-8"))
    assert load(path, name="other").name == "other"


def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "My Case.yaml"
    path.write_text("summary: x\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match="`My Case` is not a name"):
        load(path)


def test_a_file_that_cannot_be_read_is_bad_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="Is a directory"):
        load(tmp_path)


def test_problems_of_valid_parts_are_shown_beside_those_of_others() -> None:
    """A misspelt key on one host does not hide a missing socket on the other."""
    with pytest.raises(ScenarioError) as caught:
        scenario(server={"comand": "x"}, client={"steps": [{"send": "c"}]}, observe={"client": "none"})
    assert "unknown key `comand`" in str(caught.value)
    assert "`send` needs a socket" in str(caught.value)


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_shipped_scenario_loads_and_expects_something(path: Path) -> None:
    loaded = load(path)
    assert loaded.expect
    assert loaded.about
    assert loaded.tags
    assert loaded.source.startswith("# yaml-language-server: $schema=../testbed/scenario/schema.json\n")


STEPS_THAT_LOAD: list[list[dict[str, Any]]] = [
    [{"connect": "server:1"}, {"close": None}, {"connect": "server:1"}],
    [{"connect": "server:1"}, {"connect": "server:1", "as": "second"}, {"send": "x", "on": "sock"}],
    [{"socket": "tcp"}, {"bind": "client:5000"}, {"connect": "server:1"}, {"recv": 1}],
    [{"socket": {"type": "tcp", "nonblocking": True}}, {"connect": "server:1", "error": "EINPROGRESS"}, {"send": "x"}],
    [{"connect": "server:9", "error": "ECONNREFUSED"}, {"connect": "server:1"}],
    [{"connect": "server:1"}, {"shutdown": "write"}, {"send": "x", "error": "EPIPE"}],
    [{"connect": "server:1"}, {"recv_exact": 5, "error": "EOF"}, {"on_readable": "once", "error": "TIMEOUT"}],
    [{"socket": "tcp"}, {"send": {"text": "x", "flags": ["MSG_FASTOPEN"], "to": "server:1"}}, {"recv_all": None}],
    [{"socket": "udp"}, {"send": {"text": "", "to": "server:1"}}, {"recv": 100}],
    [{"socket": "udp"}, {"connect": "server:9"}, {"send": "x"}, {"recv": 1, "error": "ECONNREFUSED"}],
    [{"socket": "tcp"}, {"bind": ":5000"}, {"listen": {"backlog": 0}}, {"accept": None, "error": "EAGAIN"}],
    [{"socket": "tcp"}, {"recv": 1, "error": "ENOTCONN"}],
]


@pytest.mark.parametrize("steps", STEPS_THAT_LOAD, ids=str)
def test_steps_that_look_odd_but_can_work_are_let_through(steps: list[dict[str, Any]]) -> None:
    server = {"steps": [{"listen": 1}, {"accept": None}, {"recv_all": None}, {"close": "listener"}]}
    assert scenario(server=server, client={"steps": steps}).client.steps


@pytest.mark.parametrize(
    ("steps", "announced"),
    [
        ([{"listen": 1}], True),
        ([{"socket": "udp"}, {"bind": ":1"}], True),
        ([{"socket": "tcp"}, {"bind": ":1"}, {"connect": "client:2", "error": "any"}], False),
        ([{"sleep": "1ms"}], False),
    ],
    ids=str,
)
def test_steps_that_can_be_reached_announce_it(steps: list[dict[str, Any]], announced: bool) -> None:
    """The actor says so after a listen, or a bind of a UDP socket; to wait for it otherwise would be in vain."""
    assert scenario(server={"steps": steps}).server.announces is announced
