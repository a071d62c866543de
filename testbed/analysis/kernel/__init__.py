"""The kernel as a witness: its events matched with packets and calls, and what it says of each cause."""
