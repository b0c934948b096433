"""The documentation: it builds, what it points to is there, and its commands do what they say."""
