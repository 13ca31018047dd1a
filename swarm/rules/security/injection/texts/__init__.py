"""Texts that code puts together: where values go into them, and how each is made harmless there."""
