"""Backends: the only places that produce text."""
