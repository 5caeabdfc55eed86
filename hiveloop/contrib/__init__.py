"""Optional bridges between hiveloop and other parts of an application."""
