"""Tests of the local HiveBoard."""
