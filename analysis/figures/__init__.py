"""Figures, one a file: functions from finished measures to a matplotlib `Figure`, drawn for a paper column of 84 mm.

Nothing here uses pyplot, so figures may be drawn in any thread and are forgotten when nobody holds them.
"""
