"""Rules about waits: one after the other, on the event loop, or before an answer that needs none of it."""
