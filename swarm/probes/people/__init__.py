"""Probes: the rights of the people whom events tell of, and what the service writes to them and keeps of them."""
