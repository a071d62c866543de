"""`invoke open --serve`: the page at the root, everything else as plain bytes, to this machine only."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cli.report_commands import make_server
from testbed.model.errors import BothendsError
from testbed.rundir.layout import RunDirectory


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    for name, text in (("report.html", "<p>page"), ("manifest.json", "{}"), ("client.out", "<script>")):
        (tmp_path / name).write_text(text)
    with make_server(RunDirectory(tmp_path), 0, "report.html") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET", host: str | None = None) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers["Content-Type"], body


def test_the_root_is_the_page(port: int) -> None:
    assert ask(port, "/") == (200, "text/html; charset=utf-8", b"<p>page")
    assert ask(port, "/", "HEAD") == (200, "text/html; charset=utf-8", b"")


def test_a_campaigns_page_leads_to_the_pages_of_its_runs(port: int, tmp_path: Path) -> None:
    """`report.html` at any depth is one that we made: a run directory has no other place for a program's files."""
    (tmp_path / "runs/echo/1").mkdir(parents=True)
    (tmp_path / "runs/echo/1/report.html").write_text("<p>run")
    assert ask(port, "/runs/echo/1/report.html") == (200, "text/html; charset=utf-8", b"<p>run")


@pytest.mark.parametrize(
    ("name", "kind"), [("manifest.json", "text/plain; charset=utf-8"), ("client.out", "application/octet-stream")]
)
def test_what_programs_wrote_is_never_served_as_markup(port: int, name: str, kind: str) -> None:
    assert ask(port, f"/{name}")[:2] == (200, kind)


@pytest.mark.parametrize("path", ["/../x", "/%2e%2e/%2e%2e/etc/passwd", "/nothing"])
def test_nothing_else_can_be_reached(port: int, path: str) -> None:
    assert ask(port, path)[0] == 404


def test_a_foreign_name_that_points_here_is_refused(port: int) -> None:
    assert ask(port, "/", host="evil.example")[0] == 403
    assert ask(port, "/", host=f"localhost:{port}")[0] == 200


def test_a_taken_port_is_told(port: int, tmp_path: Path) -> None:
    with pytest.raises(BothendsError, match="cannot listen on 127"):
        make_server(RunDirectory(tmp_path), port, "report.html")
