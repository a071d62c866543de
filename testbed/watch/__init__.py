"""Watch two programs that already run: captures of both ends, joined as a run's."""
