"""Wires everything: settings, logs, metrics, health, processes, and the operator's command line.

Rules of this room: nobody imports it; it holds no rule of the business.
"""
