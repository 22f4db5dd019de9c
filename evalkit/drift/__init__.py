"""Drift: is what production asks and gets still what was trained and measured?"""
