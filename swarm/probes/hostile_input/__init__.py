"""Probes: whatever a body holds, it is refused or stays data, and breaks nothing."""
