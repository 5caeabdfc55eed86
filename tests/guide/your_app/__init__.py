"""The application of the integration guide, as far as its samples import from it."""
