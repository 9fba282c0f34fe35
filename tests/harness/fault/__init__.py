"""Fault runs: actors in processes of their own, commands and faults by a seed, and a checker of what is left."""
