"""Reports of real runs: what `invoke run` writes for CI, and a hostile run shown as text everywhere."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from junitparser import JUnitXml

from .conftest import Invoke

FAILING = """\
summary: One expectation that holds and one that does not
server: {steps: [{listen: 10011}, {accept: }, {recv_all: }, {close: }]}
client: {steps: [{connect: "server:10011"}, {send: c}, {close: }]}
expect:
  - {segments: {client: [c]}}
  - {segments: {client: [d]}}
"""
HOSTILE = """\
summary: "<script>alert(1)</script> \\u202e `rtl` | & </pre>"
observe: {kernel: false}
server: {steps: [{listen: 10011}, {accept: }, {recv_all: }, {close: }]}
client:
  command:
    - bash
    - -c
    - |
      exec 3<>/dev/tcp/{server}/10011
      printf '<script>alert(2)</script>\\0\\033[31m\\342\\200\\256x' >&3
      head -c 1048576 /dev/zero | tr '\\0' y >&3
      printf '<img src=x onerror=alert(3)>\\033]0;title\\a\\0'
      head -c 1048576 /dev/zero | tr '\\0' x
"""
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202e]")


def test_ci_files_of_several_runs_agree_with_the_exit_code(
    invoke: Invoke, scenario: Callable[..., str], tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("junit.xml", "run.tap", "summary.md")]
    options = [
        word for flag, path in zip(("--junit", "--tap", "--markdown"), files, strict=True) for word in (flag, str(path))
    ]
    done = invoke("run", "connect-send-close", scenario(FAILING), "--quiet", "--report", *options)
    assert done.code == 1, done.out + done.err
    suites = {suite.name: suite for suite in JUnitXml.fromstring(files[0].read_bytes())}
    assert (suites["connect-send-close"].failures, suites["connect-send-close"].errors) == (0, 0)
    assert (suites["made-by-test"].tests, suites["made-by-test"].failures) == (3, 1)
    assert files[1].read_text().count("\nnot ok ") == 1
    assert "expected:" in files[2].read_text()
    for name in ("connect-send-close", "made-by-test"):
        latest = tmp_path / "runs" / name / "latest"
        assert (latest / "report.html").stat().st_size > 50_000
        assert (latest / "annotated.pcapng").stat().st_size > 1_000


def test_a_run_that_could_not_be_made_is_an_error_in_junit(invoke: Invoke, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    done = invoke(
        "run", "echo", "--quiet", "--engine", "docker", "--junit", str(junit), env={"DOCKER_HOST": "tcp://127.0.0.1:1"}
    )
    assert done.code == 3
    (suite,) = JUnitXml.fromstring(junit.read_bytes())
    assert (suite.name, suite.errors) == ("echo", 1)


def test_hostile_payload_output_and_names_are_text_in_every_report(
    invoke: Invoke, scenario: Callable[..., str], tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("junit.xml", "run.tap", "summary.md")]
    options = [
        word for flag, path in zip(("--junit", "--tap", "--markdown"), files, strict=True) for word in (flag, str(path))
    ]
    done = invoke("run", scenario(HOSTILE), "--quiet", "--report", *options)
    assert done.code == 0, done.out + done.err
    latest = tmp_path / "runs/made-by-test/latest"
    assert (latest / "client.out").stat().st_size > 1 << 20
    page = (latest / "report.html").read_text(encoding="utf-8")
    for text in (done.out, page, *(path.read_text(encoding="utf-8") for path in files)):
        assert not RAW.search(text)
    assert page.count("<script") == 2
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; \\u202e" in page
    assert "&lt;img src=x onerror=alert(3)&gt;\\x1b]0;title\\x07\\x00" in page
    assert "more characters are in client.out" in page
    assert JUnitXml.fromstring(files[0].read_bytes())
    shown = invoke("show", "made-by-test/latest", env={"COLUMNS": "80"})
    assert not RAW.search(shown.out)
    assert [line for line in shown.out.splitlines() if len(line) > 80 and " " in line] == [], "a path is not cut"
    assert "all 1,048,611 bytes were sent, arrived, acknowledged and read" in shown.out, "stdio: nobody saw the writes"
    comments = subprocess.run(
        ["tshark", "-r", str(latest / "annotated.pcapng"), "-T", "fields", "-e", "frame.comment"],
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert "cause: unknown, unlogged-data: no logged call wrote bytes 0-34" in comments
    assert not RAW.search(comments)
