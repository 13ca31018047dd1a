"""Rules about what the service shows, and whom it believes."""
