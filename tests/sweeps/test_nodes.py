"""On two nodes: one that loses its units is avoided, and two GPUs for a unit, which the other claims to have, are two processes."""

import pytest

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,  # two nodes, and five workers one after another
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def became(nodes_run):
    return nodes_run.result()


def test_a_node_that_loses_three_units_in_a_row_gets_no_more(became):
    assert became["ran"].count(became["broken"]) == 3
    assert [text for kind, text in became["events"] if kind == "node"] == [
        f"node {became['broken'][:6]} lost 3 units in a row without progress: no more for it while there is another"
    ]


def test_what_it_lost_is_done_elsewhere(became):
    assert became["fatal"] == "None"
    assert became["complete"]
    assert len(became["ran"]) == 3 + 3


def test_a_unit_with_two_gpus_trains_in_two_processes(became):
    assert became["processes"] == "2"
