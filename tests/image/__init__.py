"""The image, as far as it goes without a container engine: its steps are done, and its result is run as it would be there."""
