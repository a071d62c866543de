"""Changes of Linux that are known to be behind a difference between kernels, each with the scenarios that show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KernelChange:
    """One change: what it does in a sentence, since which version, its commit, and the scenarios that show it."""

    what: str
    since: str
    commit: str
    scenarios: frozenset[str]

    @property
    def address(self) -> str:
        """Where the commit can be read."""
        return f"https://git.kernel.org/torvalds/c/{self.commit}"


CHANGES: tuple[KernelChange, ...] = (
    KernelChange(
        what="The first SYN retransmissions come a second apart instead of doubling (tcp_syn_linear_timeouts)",
        since="6.5",
        commit="ccce324dabfe2143519daa50cf64f37fb79fec40",
        scenarios=frozenset({"syn-retries-to-the-end", "connect-filtered", "lost-syn"}),
    ),
)
