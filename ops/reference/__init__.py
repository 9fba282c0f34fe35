"""Writes the reference pages, the sample settings and their schema from the code: `python -m ops.reference`."""
