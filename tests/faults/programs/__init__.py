"""Programs that the fault tests run in processes of their own; each uses the public API only."""
