"""`trainer plan`: what a training will take, said before anything is loaded.

`tensor_count` counts what a base keeps for each token, `memory` adds up the peak, `steps_and_tokens` goes through the
steps that the dataset's real lengths give, `hardware` knows the cards and their prices, `advice` says what is unwise
and what to change, `plan` puts it all together, and `render` shows it.
"""
