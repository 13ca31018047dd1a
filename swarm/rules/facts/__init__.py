"""What rules ask again and again about the target's code: who runs it, what it builds, what waits for what."""
