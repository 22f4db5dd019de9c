"""Chat rows read by machine code, from sources so large that compiling it pays."""
