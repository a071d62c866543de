"""Campaigns: scenarios in all their variants, many times, and what the runs have in common."""
