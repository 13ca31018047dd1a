"""Tools that let the rules of one category look at the target's code."""
