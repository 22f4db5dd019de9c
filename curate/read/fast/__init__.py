"""Lines of plain chat taken apart by machine code: for sources so large that compiling it pays."""
