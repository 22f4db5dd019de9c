"""A finished run: its record, listing and comparing, its loss curve, trackers, and merging its adapter."""
