"""Tools that run something: probes, requests and samples against the service, commands on a copy."""
