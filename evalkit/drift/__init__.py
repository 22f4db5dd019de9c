"""Drift: does production still ask and get what was trained and measured?"""
