"""The link between the hosts: as written, checked, and compiled into the link program's plan."""
