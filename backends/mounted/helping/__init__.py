"""What processes do that help this one, and what they need for it.

Rule: nothing here imports what takes long, `typing` and `dataclasses` among it. A helper is started anew for every
large folder, and what it takes to start is time in which it does not help.
"""
