"""The tests of hiveloop."""
