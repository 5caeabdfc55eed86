"""The demo: a small fleet of agents that do real work on real documents, fully instrumented.

It is also the program to copy from. Read it in this order:

- `researcher`, `summariser`, `librarian`, `checker`, `editor`: one agent each, with every sensor where it
  belongs.
- `worker`: what all agents share: a thread, an inbox, heartbeats that say something.
- `assistant`: the one place that calls the language model and reports tokens, cost and retries.
- `fleet`: wires them together; `tally`: a transport in twenty lines.
- `model`: the local stand-in for a language model. `text`, `workspace`, `search`, `checks` do the
  actual work and know nothing of hiveloop, as your own code would.

Start it with ``python -m hiveloop demo``.
"""
