"""One module a command: its name, its words, its help; what it does is imported when it is called."""
