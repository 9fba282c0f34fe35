"""Measures Penstock against its peers and against what the machine can do, in the same run: `python -m bench`."""
