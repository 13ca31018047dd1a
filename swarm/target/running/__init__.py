"""The target at work: its environment and commands, the sandbox, the server."""
