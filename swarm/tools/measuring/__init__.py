"""Tools that measure the unpatched service: load, waits, processor time, concurrency."""
