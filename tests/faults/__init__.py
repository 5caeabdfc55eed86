"""What the SDK does when the world is against it: broken servers, forks, exits, crowds.

Outages are short by default. ``HIVELOOP_TEST_LONG=1`` gives them their full length.
"""
