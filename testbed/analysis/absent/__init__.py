"""What did not happen on the wire, and why: calls without a packet, bytes that never left. Pure."""
