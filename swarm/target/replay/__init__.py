"""The same requests sent to two trees: what each answered, wrote and stored, and where they differ."""
