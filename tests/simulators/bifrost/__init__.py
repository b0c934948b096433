"""A simulator of the Bifrost AI gateway, as far as it is about the governance of models."""
