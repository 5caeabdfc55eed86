"""From events to the tables that pages read: order-independent, rebuildable."""
