"""Pairs of captures whose every packet is known: what ``invoke bench pairs`` measures the comparison by."""
