"""Containers of captures: pcap, pcapng, and what compresses them."""
