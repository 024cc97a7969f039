"""Generators: one set, written against Chooser, driven by a seed, Hypothesis, bytes, or exhaustively.

They ask no model what is legal: a generator that does stops making what the model misunderstands.
"""
