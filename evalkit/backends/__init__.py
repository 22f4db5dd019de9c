"""Backends: what makes answers, of files, endpoints and models in this process."""
