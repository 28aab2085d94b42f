"""What may vary: knobs with their ranges, and spaces that draw them and return named stages."""

from search_spaces.knobs import batch_size as batch_size
from search_spaces.knobs import distribution_weight as distribution_weight
from search_spaces.knobs import learning_rate as learning_rate
from search_spaces.knobs import penalty_weight as penalty_weight
from search_spaces.knobs import projection_depth as projection_depth
from search_spaces.knobs import temperature as temperature
