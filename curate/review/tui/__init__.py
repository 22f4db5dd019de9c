"""The full screen: keys to actions, state to widgets. The only place that imports Textual."""
