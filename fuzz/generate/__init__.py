"""Generators: one set, written against Chooser, with four drivers: seed, Hypothesis, bytes, all.

They ask no model what is legal: a generator that does stops making what the model misunderstands.
"""
