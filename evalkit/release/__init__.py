"""Releases: adapters that passed the gate, with everything that says so, and which of them is current."""
