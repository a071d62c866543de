"""What the tasks about reports do: make the reports of a run or a campaign again, and show its page."""

from __future__ import annotations

import sys
import webbrowser
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.model.errors import BothendsError, UsageError
from testbed.rundir.broken_files import read_from
from testbed.rundir.layout import RunDirectory, find

if TYPE_CHECKING:
    from testbed.campaign.store import Store
    from testbed.report.ci.ci_files import CiFiles

_LOCAL = "127.0.0.1"


def report(what: str, *, runs: Path, ci: CiFiles) -> int:
    """Make all reports of a run or a campaign again from its directory alone, and say where they are."""
    from testbed.api.runs import analyse_again
    from testbed.report.ci.ci_cases import RunRecord
    from testbed.report.ci.ci_files import write_ci_files

    directory = find(what, runs)
    if directory is None:
        return _report_campaign(_campaign(what, runs), ci)
    result = analyse_again(directory)
    with read_from(directory):
        made = result.write_reports()
        write_ci_files([RunRecord(directory.scenario, 0.0, str(directory), result.analysis)], ci)
    for path in made:
        sys.stdout.write(f"{directory}/{path.name}\n")
    return 0


def _report_campaign(store: Store, ci: CiFiles) -> int:
    from testbed.report import campaign_files
    from testbed.report.ci.campaign_cases import records
    from testbed.report.ci.ci_files import write_ci_files

    made = campaign_files.rebuild(store)
    write_ci_files(list(records(made.summary, str(store.path))), ci)
    for trouble in made.troubles:
        sys.stderr.write(f"{trouble}\n")
    for path in made.pages:
        sys.stdout.write(f"{path}\n")
    return 0


def open_page(what: str, *, runs: Path, serve: bool, port: int) -> int:
    """Show the page of a run or a campaign in a browser; where there is none, or if asked to, serve it until Ctrl-C."""
    from testbed.report import campaign_files, run_files

    directory = find(what, runs)
    if directory is None:
        store = _campaign(what, runs)
        directory = RunDirectory(store.path)
        if not directory.file(run_files.PAGE).exists():
            campaign_files.rebuild(store)
    page = directory.file(run_files.PAGE)
    if not page.exists():
        with read_from(directory):
            run_files.rebuild(directory)
    if not serve and _browser():
        sys.stdout.write(f"{page}\n")
        return 0 if webbrowser.open(page.as_uri()) else 3
    return _serve(directory, port, run_files.PAGE)


def _campaign(what: str, runs: Path) -> Store:
    from testbed.campaign.store import Store

    try:
        return Store.find(runs, what)
    except UsageError as error:
        raise UsageError(
            f"there is no run and no campaign `{what}`",
            hint="a run's directory, its id, or SCENARIO/latest; a campaign's directory, its id, or latest",
        ) from error


def _browser() -> bool:
    """Say whether this machine has a browser that can open a window."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    return not isinstance(found, webbrowser.GenericBrowser) or isinstance(found, webbrowser.BackgroundBrowser)


class _Handler(SimpleHTTPRequestHandler):
    """Serves one directory of a run or a campaign; what is no page of ours is given as plain bytes, never as markup."""

    page: str

    def __init__(self, *args: Any, page: str, **kwargs: Any) -> None:  # noqa: ANN401 - the library's signature
        self.page = page
        super().__init__(*args, **kwargs)

    def send_head(self) -> Any:  # noqa: ANN401 - the library's signature
        # A page of the web that had its name point here would send its own name.
        if self.headers.get("Host", "").partition(":")[0] not in (_LOCAL, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return None
        if self.path == "/":
            self.path = f"/{self.page}"
        if not Path(self.translate_path(self.path)).resolve().is_relative_to(Path(self.directory).resolve()):
            self.send_error(HTTPStatus.NOT_FOUND)  # a symbolic link that leads out
            return None
        return super().send_head()

    def guess_type(self, path: Any) -> str:  # noqa: ANN401 - the library's signature
        name = Path(path).name
        if name == self.page:
            return "text/html; charset=utf-8"
        return (
            "text/plain; charset=utf-8" if name.endswith((".json", ".jsonl", ".yaml")) else "application/octet-stream"
        )

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the terminal quiet."""


def make_server(directory: RunDirectory, port: int, page: str) -> ThreadingHTTPServer:
    """Return a server of a run directory on this machine's own address; port 0: any. BothendsError if it is taken."""
    try:
        return ThreadingHTTPServer((_LOCAL, port), partial(_Handler, directory=str(directory.path), page=page))
    except OSError as error:
        raise BothendsError(f"cannot listen on {_LOCAL}:{port}: {error.strerror}", hint="another --port") from error


def _serve(directory: RunDirectory, port: int, page: str) -> int:
    with make_server(directory, port, page) as server:
        sys.stdout.write(f"http://{_LOCAL}:{server.server_address[1]}/  (Ctrl-C ends it)\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0
