"""Tools by which a model writes: patches of its own, drafts of alerts."""
