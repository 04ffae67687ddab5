"""Synthetic people: one integer seed, one person, with complete truth."""
