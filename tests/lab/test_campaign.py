"""Campaigns as a user runs them: variants, repeats, side by side, stopped and gone on with; and two runs compared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import LIMIT, ROOT, Invoke, command, docker_slow
from .hanging import wait_until

MATRIX = """
summary: Observed and not
matrix: {{observe.client: [probe, none], client.steps.1.send: [c, string]}}
server: {{steps: [{{listen: 10011}}, {{accept: }}, {{recv_all: }}, {{close: }}]}}
client: {{steps: [{{connect: "server:10011"}}, {{send: c}}, {{close: }}]}}
expect:
  - {{ledger: {{client: {{written: 1}}}}, when: {{observe.client: probe, client.steps.1.send: c}}}}
  - {{packets: {{from: client, flags: S, count: 1}}, in: {share}}}
"""


def _results(tmp_path: Path) -> list[dict[str, Any]]:
    (path,) = tmp_path.glob("runs/campaigns/*/results.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def _kept(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.glob("runs/campaigns/*/runs/*/2*") if path.is_dir()]


@docker_slow
def test_matrix(invoke: Invoke, scenario: Callable[..., str], tmp_path: Path) -> None:
    """Every combination is run, several at once; expectations apply where they should; the variants are compared."""
    done = invoke("run", scenario(MATRIX.format(share="50%")), "--jobs", "2", "--repeat", "5", "--json")
    assert done.code == 0, done.out + done.err
    variants = done.json["variants"]
    assert [variant["label"] for variant in variants] == [
        f"observe.client={observer} client.steps.1.send={text}"
        for observer in ("probe", "none")
        for text in ("c", "string")
    ]
    assert [variant["runs"] for variant in variants] == [5] * 4
    facets = {each["facet"]: each["variants"] for each in done.json["differences"]["made-by-test"]}
    assert [lines[0] for lines in facets["segments"].values()] == ["client: c", "client: string"] * 2
    assert {"ledger"} <= facets.keys()
    kinds = [kind for variant in variants for kind in variant["kinds"]]
    assert len(_kept(tmp_path)) == len(kinds), "one run of each kind is kept"
    for kind in kinds:
        assert list(tmp_path.glob(f"runs/campaigns/*/runs/{kind['example']}/result.json"))
    shown = invoke("show", _kept(tmp_path)[0].name[-8:], "--json")
    assert shown.json["outcome"] == "pass", "a variant's run is worked out again as that variant"


@pytest.mark.usefixtures("namespaces")
def test_page(invoke: Invoke, tmp_path: Path) -> None:
    """`--report` writes the campaign's page and those of its runs; `invoke report latest` makes them again, equal."""
    done = invoke("run", "echo", "--repeat", "3", "--engine", "namespace", "--report", "--quiet")
    assert done.code == 0, done.err
    (page,) = tmp_path.glob("runs/campaigns/*/report.html")
    first = page.read_bytes()
    assert str(page) in done.err
    page.unlink()
    again = invoke("report", "latest", "--runs", str(tmp_path))
    assert again.code == 0, again.err
    assert page.read_bytes() == first
    (example,) = [path for path in _kept(tmp_path) if (path / "report.html").exists()]
    assert f"runs/echo/{example.name}/report.html".encode() in first


@pytest.mark.usefixtures("namespaces")
def test_share_with_confidence(invoke: Invoke, scenario: Callable[..., str]) -> None:
    """`in: 99%` after 5 runs: nobody can tell, and it is said how many runs it takes; exit 3."""
    text = MATRIX.format(share="99%").replace("[probe, none]", "[probe]").replace("[c, string]", "[c]")
    done = invoke("run", scenario(text), "--repeat", "5", "--engine", "namespace")
    assert done.code == 3, done.out
    assert "in 5 of 5 runs (at least 54.93% with 95% confidence; 299 runs without a failure would do)" in done.out


@pytest.mark.usefixtures("namespaces")
def test_keep_all(invoke: Invoke, tmp_path: Path) -> None:
    """`--keep all` keeps a directory for each run."""
    done = invoke("run", "echo", "--repeat", "4", "--keep", "all", "--engine", "namespace", "--jobs", "2")
    assert done.code == 0, done.err
    assert len(_kept(tmp_path)) == 4


@pytest.mark.usefixtures("namespaces")
def test_stopped_and_gone_on_with(invoke: Invoke, tmp_path: Path) -> None:
    """Ctrl-C: what runs is finished, the table is printed, exit 3; `--resume` makes the rest, no run twice."""
    with subprocess.Popen(
        command("run", "echo", "--repeat", "30", "--jobs", "2", "--engine", "namespace", "--runs", str(tmp_path)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as runner:
        wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob("runs/campaigns/*/results.jsonl")))
        runner.send_signal(signal.SIGINT)
        out, err = runner.communicate(timeout=LIMIT)
    assert runner.returncode == 3, out + err
    before = _results(tmp_path)
    assert 0 < len(before) < 30
    assert f"echo: {len(before)} of 30 runs" in out
    campaign = err.split("--resume ")[1].split("`")[0]
    done = invoke("run", "--resume", campaign, "--json")
    assert done.code == 0, done.out + done.err
    assert done.json["variants"][0]["runs"] == 30
    after = _results(tmp_path)
    assert after[: len(before)] == before
    assert len({json.dumps(result["task"]) for result in after}) == len(after) == 30


@pytest.mark.usefixtures("namespaces")
def test_lost_worker(tmp_path: Path) -> None:
    """A worker killed in mid-run is replaced, its run made again; each run counts once and leaves one directory."""
    words = ("run", "echo", "--repeat", "12", "--jobs", "2", "--keep", "all", "--engine", "namespace", "--json")
    with subprocess.Popen(
        command(*words, "--runs", str(tmp_path)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as runner:
        wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob("runs/campaigns/*/results.jsonl")))
        children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        out, err = runner.communicate(timeout=LIMIT)
    assert runner.returncode == 0, out + err
    assert json.loads(out)["variants"][0]["runs"] == 12
    assert len(_results(tmp_path)) == 12
    assert len(_kept(tmp_path)) == 12


def test_bad_use(invoke: Invoke) -> None:
    """Options that mean nothing are told before anything is run."""
    for words, message in (
        (("run", "echo", "--repeat", "0"), "must be at least 1"),
        (("run", "echo", "--keep", "some"), "differing or all"),
        (("run", "--resume", "nothing"), "there is no campaign `nothing`"),
        (("run", "echo", "--set", "ip"), "is not a setting"),
        (("run", "echo", "--set", "ip=4,[4, 6"), "--set:1:11: broken YAML"),
        (("run", "echo", "--set", "ip=5"), "is not allowed here"),
    ):
        done = invoke(*words)
        assert done.code == 2, done.out + done.err
        assert message in done.err


@pytest.mark.usefixtures("namespaces")
def test_diff(invoke: Invoke, scenario: Callable[..., str], tmp_path: Path) -> None:
    """Two runs of the same differ in nothing; another sysctl and other bytes are shown side by side."""
    text = (ROOT / "scenarios" / "echo.yaml").read_text()
    other = text[: text.index("expect:")].replace("- send: hello", "- send: olleh")
    other = other.replace("client:\n", "client:\n  sysctl: {net.ipv4.tcp_sack: 0}\n", 1)
    names = []
    for each in ("echo", "echo", scenario(other)):
        assert invoke("run", each, "--engine", "namespace", "--quiet").code == 0
        name = "echo" if each == "echo" else "made-by-test"
        names.append(str((tmp_path / "runs" / name / "latest").resolve()))
    same = invoke("diff", *names[:2])
    assert "calls" not in same.out, same.out
    assert "net.ipv4" not in same.out
    different = invoke("diff", names[0], names[2])
    assert different.code == 1
    assert '"hello"' in different.out
    assert '"olleh"' in different.out
    (line,) = (line for line in different.out.splitlines() if "client sysctls net.ipv4.tcp_sack" in line)
    assert line.index("= 1") < line.index("|") < line.rindex("= 0")
