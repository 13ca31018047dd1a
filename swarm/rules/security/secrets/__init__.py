"""Rules about secrets: where they stand, where they get to, how they are made."""
