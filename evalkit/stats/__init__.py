"""Intervals and tests for scores in [0, 1], binary or graded, paired on items, with clusters respected.

One method per question, each the textbook one where the textbook has one, and deterministic (only the permutation test
of graded scores draws random numbers, from the suite's seed):

- the mean of one contender: `interval.mean_interval`
- the difference of two on the same items: `interval.difference_interval`
- whether that difference could be chance: `significance.sign_flip_p`, adjusted over a family by `significance.holm`
- how far a judge and people agree: `agreement.estimate` of a statistic
- what people would have said, from a judge on all and people on some: `corrected.corrected_difference`
"""
