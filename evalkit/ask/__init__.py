"""Asking: from contenders and items to requests, and from requests to answers that are kept."""
