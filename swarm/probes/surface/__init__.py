"""Probes: what the service shows and lets anybody do beyond its webhooks."""
