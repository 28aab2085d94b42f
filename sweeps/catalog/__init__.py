"""The named sweeps, one file per question; each is a lab note that runs."""

from collections.abc import Callable

from sweeps.catalog.adversarial_tuning import adversarial_tuning
from sweeps.catalog.every_measure import every_measure
from sweeps.catalog.fine_tuning import fine_tuning
from sweeps.catalog.label_fractions import label_fractions
from sweeps.catalog.left_out_domains import left_out_domains
from sweeps.catalog.pretraining import pretraining
from sweeps.catalog.quickstart import quickstart
from sweeps.catalog.to_contrast import to_contrast
from sweeps.sweep import Sweep

CATALOG: dict[str, Callable[[str], Sweep]] = {
    "quickstart": quickstart,
    "to_contrast": to_contrast,
    "pretraining": pretraining,
    "fine_tuning": fine_tuning,
    "label_fractions": label_fractions,
    "left_out_domains": left_out_domains,
    "adversarial_tuning": adversarial_tuning,
    "every_measure": every_measure,
}
