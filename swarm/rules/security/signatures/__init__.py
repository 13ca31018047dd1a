"""Is a delivery what its sender signed? Rules about signatures and their keys."""
