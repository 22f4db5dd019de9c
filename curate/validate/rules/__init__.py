"""The rules of validation: each module looks at one side of a row and names what is wrong with it."""
