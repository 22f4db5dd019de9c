"""Layers as they compute while training, or on a processor while answering, with the results of the library's own."""
