"""Mutation of a compliant stack: operators, weakenings, and the trial that every rule notices its own."""
