"""How apt's configuration is read: no apt, no Docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.lab.docker import debian_packages
from testbed.lab.docker.debian_packages import DebianArchive
from testbed.model.errors import ImageError


def test_only_package_lists_of_debian_itself_are_sources() -> None:
    listing = (
        "Packages|Debian|bookworm|http://mirror.invalid/debian|stable|main\n"
        "DEP-11|Debian|bookworm|http://mirror.invalid/debian|stable|main\n"
        "Packages|Somebody|bookworm|http://other.invalid|bookworm|main\n"
    )
    assert debian_packages.parse_targets(listing) == [
        DebianArchive("http://mirror.invalid/debian", "stable", "main", "bookworm")
    ]


def test_a_list_of_mirrors_is_followed_to_its_first_address(tmp_path: Path) -> None:
    """Debian's cloud images name mirrors this way."""
    mirrors = tmp_path / "debian.list"
    mirrors.write_text("# ours\n\nhttp://first.invalid/debian/\tpriority:1\nhttp://second.invalid/debian\n")
    listing = f"Packages|Debian|bookworm|mirror+file:{mirrors}|bookworm|main\n"
    assert debian_packages.parse_targets(listing)[0].uri == "http://first.invalid/debian"
    mirrors.write_text("# none\n")
    with pytest.raises(ImageError, match="list of mirrors is empty"):
        debian_packages.parse_targets(listing)


def test_a_password_in_a_mirrors_address_does_not_get_into_an_image() -> None:
    source = DebianArchive("https://user:secret@mirror.invalid:8443/debian", "bookworm", "main", "bookworm")
    assert source.line() == "deb https://mirror.invalid:8443/debian bookworm main"


def test_the_base_system_comes_from_the_machines_own_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian_packages, "_os_release", lambda: {"VERSION_CODENAME": "bookworm"})
    updates = DebianArchive("http://m.invalid", "bookworm-updates", "main", "bookworm-updates")
    contrib = DebianArchive("http://m.invalid", "bookworm", "contrib", "bookworm")
    main = DebianArchive("http://m.invalid", "stable", "main", "bookworm")
    assert debian_packages.main_archive([updates, contrib, main]) == main
    with pytest.raises(ImageError, match="no archive of Debian bookworm"):
        debian_packages.main_archive([updates])


@pytest.fixture
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("_no_proxies")
def test_apts_proxy_goes_before_the_environments_and_direct_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://environment.invalid:3128")
    monkeypatch.setenv("https_proxy", "http://environment.invalid:3128")
    configured = {"Acquire::http::Proxy": "http://apt.invalid:3142", "Acquire::https::Proxy": "DIRECT"}
    monkeypatch.setattr(debian_packages, "settings", lambda: configured)
    assert debian_packages.proxies() == {
        "http_proxy": "http://apt.invalid:3142",
        "https_proxy": "http://environment.invalid:3128",
    }


@pytest.mark.usefixtures("_no_proxies")
@pytest.mark.parametrize("proxy", ["http://localhost:3128", "http://127.0.0.1:3128", "http://[::1]:3128"])
def test_a_proxy_on_this_machines_loopback_is_not_handed_to_containers(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "example.invalid")
    monkeypatch.setattr(debian_packages, "settings", dict)
    assert debian_packages.proxies() == {"no_proxy": "example.invalid"}


def test_settings_about_a_wrong_clock_are_carried_over_and_proxies_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    configured = {"Acquire::http::Proxy": "http://user:secret@p.invalid", "Acquire::Check-Date": "false"}
    monkeypatch.setattr(debian_packages, "settings", lambda: configured)
    assert debian_packages.clock_settings() == 'Acquire::Check-Date "false";\n'


def test_a_program_that_fails_is_an_image_error_with_its_last_lines() -> None:
    with pytest.raises(ImageError, match=r"cannot try it: .* ended with 3") as caught:
        debian_packages.run(["sh", "-c", "echo to stdout; echo to stderr >&2; exit 3"], "try it")
    assert caught.value.last_output == "to stdout\nto stderr"
    with pytest.raises(ImageError, match="cannot try it"):
        debian_packages.run(["/nonexistent/program"], "try it")
