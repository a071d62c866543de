"""Kept runs, their captures alone, and the command: what is found where more or less was seen."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from testbed.api.diagnosing import diagnose_files
from testbed.api.runs import load_run
from testbed.cli.diagnose_command import diagnose
from testbed.model.errors import UsageError
from testbed.model.findings import FindingName, Need, Unknown
from testbed.report.text.finding_text import finding_sentence
from tests.builders.frames import CLIENT, SERVER, ethernet, icmp, pcap, tcp, udp

DATA = Path(__file__).parents[2] / "data"
(RUN,) = (DATA / "run-v1" / "server-reads-once").iterdir()


def test_a_run_knows_why_the_server_sent_a_reset() -> None:
    diagnosis = load_run(RUN).analysis.diagnosis
    assert diagnosis is not None
    (finding,) = diagnosis.findings
    assert finding.name is FindingName.UNREAD_DATA_RESET
    assert all(sum(each.parts.values()) == each.total for each in diagnosis.time)


@pytest.mark.parametrize("captures", [("client.pcap", "server.pcap"), ("client.pcap",)])
def test_its_captures_alone_do_not(captures: tuple[str, ...]) -> None:
    found = diagnose_files(*(RUN / name for name in captures))
    assert found.findings == ()
    assert FindingName.UNREAD_DATA_RESET in found.diagnosis.not_visible
    assert [each.why for each in found.diagnosis.undecided] == [Unknown.NO_CALLS if captures[1:] else Unknown.ONE_END]


def test_the_command_says_it_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnose([str(RUN)], runs=Path(), as_json=False) == 1
    text = capsys.readouterr().out
    assert "warning: the server program left " in text
    assert "disproved by: a read of all that had arrived before the close" in text
    assert diagnose([str(RUN)], runs=Path(), as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["diagnosis"]["findings"][0]["name"] == "unread-data-reset"
    assert diagnose([str(RUN / "client.pcap")], runs=Path(), as_json=False) == 0
    assert "undecided: " in capsys.readouterr().out


@pytest.mark.parametrize("what", [[], ["nothing"], [str(RUN / "manifest.json")]])
def test_what_cannot_be_diagnosed_is_bad_use(what: list[str]) -> None:
    with pytest.raises(UsageError):
        diagnose(what, runs=Path(), as_json=False)


@pytest.mark.parametrize("count", [1, 2])
def test_icmp_errors_are_understood_without_calls(tmp_path: Path, count: int) -> None:
    asked = udp(b"hello", sport=40000, dport=5000)
    told = icmp(3, 3, 0, asked[:28], src=SERVER, dst=CLIENT)
    path = tmp_path / "one.pcap"
    path.write_bytes(pcap(map(ethernet, (asked, told))))
    (finding,) = diagnose_files(*[path] * count).findings
    assert finding.name is FindingName.PORT_UNREACHABLE
    assert finding_sentence(finding).startswith(f"1 datagram of the client to {SERVER}:5000 was thrown away")


def stepping(steps: int) -> tuple[bytes, bytes]:
    """Captures of both ends of 400 small exchanges, 10 ms apart; the second one's clock steps so often."""
    chance = random.Random(7)
    one, two = [], []
    seq, now, ahead = [1000, 5000], 10**12, 0
    turns = set(range(60, 60 + 100 * steps, 100))
    for n in range(800):
        now += chance.randrange(50_000_000, 300_000_000)
        if n in turns:
            ahead += chance.choice((-1, 1)) * chance.randrange(100_000_000, 900_000_000)
        sender, data = n % 2, chance.randbytes(50)
        ends = {"sport": 4711, "dport": 10011} if not sender else {"src": SERVER, "dst": CLIENT, "sport": 10011}
        ends |= {} if not sender else {"dport": 4711}
        packet = tcp(data, seq=seq[sender], ack=seq[1 - sender], flags=0x18, ident=n + 1, **ends)
        seq[sender] += len(data)
        delay = chance.randrange(10_000_000, 10_200_000)
        times = (now, now + delay) if not sender else (now + delay, now)
        one.append((times[0], ethernet(packet)))
        two.append((times[1] + ahead, ethernet(packet)))
    return pcap(one), pcap(two)


def test_without_a_clock_that_fits_nothing_is_said_of_delays(tmp_path: Path) -> None:
    """A rate limit and overtaking were found there, of which the steps of the clock are the reason."""
    paths = (tmp_path / "one.pcap", tmp_path / "two.pcap")
    for steps, fits in ((0, True), (6, False)):
        for path, content in zip(paths, stepping(steps), strict=True):
            path.write_bytes(content)
        found = diagnose_files(*paths)
        assert found.findings == ()
        hidden = {name for name, need in found.diagnosis.not_visible.items() if need is Need.ONE_CLOCK}
        assert (hidden == set()) is fits
        assert bool(found.diagnosis.time) is fits
