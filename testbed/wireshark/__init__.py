"""Labels of TCP segments as Wireshark gives them, from one capture alone. Pure."""
