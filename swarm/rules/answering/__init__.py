"""What a handler's answer needs, what it does not, and how the rest is done behind it."""
