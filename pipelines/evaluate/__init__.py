"""Scores of systems on people whose truth is known, and on photos."""
