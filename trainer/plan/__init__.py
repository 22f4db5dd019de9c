"""`trainer plan`: what a training will take, said before anything is loaded.

`counting` counts what a base keeps for each token, `memory` adds up the peak, `work` goes through the steps that the
dataset's real lengths give, `hardware` knows the cards and their prices, `advice` says what is unwise and what to
change, `making` puts a plan together, and `text` shows it.
"""
