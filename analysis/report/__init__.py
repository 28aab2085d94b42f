"""The report: a page of tables and figures that stands in its folder, needs no network, and prints."""

from analysis.report.comparison import compare as compare
from analysis.report.page import Page as Page
from analysis.report.page import Picture as Picture
from analysis.report.page import Section as Section
from analysis.report.write import render as render
