"""Docker Engine and Podman of any release of Debian, unpacked and started beside the machine's own engine."""
