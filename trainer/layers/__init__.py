"""Layers as they compute while training, each with the same result as the library's own.

`lean_layers` and `onednn_weights` are for processors only; the latter serves local generation, which has no way back.
"""
