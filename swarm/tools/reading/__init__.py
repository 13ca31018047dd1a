"""Tools that read the target's files."""
