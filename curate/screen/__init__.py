"""Screens: personal data, secrets, toxicity, language, repetition, refusals, boilerplate, low information.

Each measures every row; what is done about a row over the threshold is decided afterwards, from the measured columns.
"""
