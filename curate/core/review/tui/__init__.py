"""The full screen of a review: the only place that imports Textual."""
