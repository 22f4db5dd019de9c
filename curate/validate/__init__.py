"""Validation: is a row a conversation that ends in an answer, and is the answer what it has to be?"""
