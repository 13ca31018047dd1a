"""Probes: a delivery that is late, comes twice, meets a failing upstream or a kill has its effect once."""
