"""Processes of the target: begun, watched, bounded, and ended so that none outlives its swarm."""
