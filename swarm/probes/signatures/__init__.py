"""Probes: only what the sender has signed, with the right key, is taken."""
