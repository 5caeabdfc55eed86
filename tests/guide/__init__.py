"""The customer's two documents, run: each Python sample of the integration guide and of the sensor reference.

A test holds one sample as the document prints it, with its placeholders filled by the small world of
`world.py`, and then asserts on the events that the document promises.
"""
