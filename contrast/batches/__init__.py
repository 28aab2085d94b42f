"""How the images of an epoch are put together into batches, where it is not in random order, one a file."""

from contrast.batches.batches import Batches as Batches
from contrast.batches.class_pairs import ClassPairs as ClassPairs
from contrast.batches.full_batches import FullBatches as FullBatches
from contrast.batches.passes import Passes as Passes
