"""Corruptions of images as of CIFAR-10-C and ImageNet-C: functions of a batch, a severity and a table, random by sample id."""

from analysis.corruptions.corrupt import CORRUPTIONS as CORRUPTIONS
from analysis.corruptions.corrupt import EXTRA as EXTRA
from analysis.corruptions.corrupt import PROCEDURAL as PROCEDURAL
from analysis.corruptions.corrupt import SEVERITIES as SEVERITIES
from analysis.corruptions.corrupt import STANDARD as STANDARD
from analysis.corruptions.corrupt import Name as Name
from analysis.corruptions.corrupt import corrupt as corrupt
from analysis.corruptions.draws import Table as Table
