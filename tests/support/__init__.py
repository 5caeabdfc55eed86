"""What several test modules need: a scripted server, programs in subprocesses, waiting."""
