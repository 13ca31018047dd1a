"""The target's files: where they lie, the copies that a run works on, and the user's own tree."""
