"""Rules about where a sender's data goes."""
