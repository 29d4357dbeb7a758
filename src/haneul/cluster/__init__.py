"""Who owns what, and who is reachable: a single node today, several later, behind the same contract."""
