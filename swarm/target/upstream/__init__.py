"""The systems that the target calls, played on loopback, and the record of what it asked them."""
