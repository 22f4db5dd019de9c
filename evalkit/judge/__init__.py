"""The judge: a model that grades answers by a rubric, and the calibration that says what its grades are worth."""
