"""Where user code runs: one contract (api.py), several tiers of isolation behind it."""
