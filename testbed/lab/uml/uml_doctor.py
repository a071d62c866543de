"""What works here of kernels of our own: facts for ``invoke doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from testbed.lab.fact import DoctorFinding
from testbed.lab.uml import kernel_build, kernel_store
from testbed.lab.uml.guest import Guest
from testbed.model.errors import BothendsError

_Finding = partial(DoctorFinding, engine="uml")
_PROBE = ("testbed.lab.uml.probe_guest",)


def examine() -> Iterator[DoctorFinding]:
    """Start the newest kernel, and say whether another one could be built."""
    try:
        kernel = kernel_store.choose_kernel()
        guest = Guest(kernel, _PROBE, lambda _: None, first=b"?")
        try:
            inside = guest.answer(lambda _: None).decode()
        finally:
            guest.close()
    except BothendsError as error:
        refusal = f"{error.what} ({error.state})" if error.state else error.what
        yield _Finding("engine uml", False, refusal, error.hint, needed=True)
    else:
        others = ", ".join(each.about.release for each in kernel_store.kernels() if each.is_current)
        yield _Finding("engine uml", True, f"started Linux {inside}; kernels: {others}", needed=True)
    lacking = kernel_build.missing_tools()
    if lacking:
        detail = f"no kernel can be built without {', '.join(lacking)}"
        yield _Finding("uml: build kernels", None, detail, kernel_build.install_command(lacking))
