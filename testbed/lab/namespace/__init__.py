"""The embedded engine: labs of bare Linux namespaces, made of this machine's own programs. No daemon, no image."""
