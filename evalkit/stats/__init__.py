"""Intervals and tests for scores in [0, 1], binary or graded, paired on items, with clusters respected.

One method per question, each the textbook one where the textbook has one, and deterministic (bootstraps and the
permutation test of graded scores draw their random numbers from a seed):

- the mean of one contender: `interval.mean_interval`
- the difference of two on the same items: `interval.difference_interval`
- whether that difference could be chance: `significance.sign_flip_p`, adjusted over a family by `significance.holm`
- how far a judge and people agree: `agreement.estimate` of a statistic
- how two independent samples differ: `shift`; how many items a question needs: `power`
- what share one mean is of another: `share.share_of`
- what people would have said, from a judge on all and people on some: `corrected.corrected_difference`
"""
