"""Every field of every kind through every transition, end to end: set, change, ends of the range, refusal and revert, unset."""
