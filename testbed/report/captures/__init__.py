"""Reports as capture files for Wireshark."""
