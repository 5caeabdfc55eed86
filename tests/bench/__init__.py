"""What hiveloop costs its host, against its peers: ``python -m tests.bench --help``."""
