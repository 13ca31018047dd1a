"""Rules about databases: statements, commits, connections and indexes."""
