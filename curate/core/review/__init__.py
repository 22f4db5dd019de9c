"""Human review: one engine for every kind of item. No terminal library is imported outside `tui`."""
