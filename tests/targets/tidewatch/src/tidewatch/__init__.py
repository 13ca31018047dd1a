"""Takes a port's vessel events, looks up the berth, keeps the arrivals."""
