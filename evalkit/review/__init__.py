"""People's judgments of answers: blind comparisons of two contenders, and labels by which a judge is calibrated."""
