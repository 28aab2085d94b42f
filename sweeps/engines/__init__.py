"""Engines execute units of work: Ray Tune on a cluster or a laptop, or this process."""
