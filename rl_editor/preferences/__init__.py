"""Preferences of listeners: what to play them, in which order, and what may be concluded from their answers.

planning    which pair comes next, and which side first
"""
