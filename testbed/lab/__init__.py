"""Labs: two hosts, the link and the taps, brought up for one run and removed after it."""
