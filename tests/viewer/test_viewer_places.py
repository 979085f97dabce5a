"""URLs of evidence: the same for as long as the run stands."""

import pytest

from rlvr.diagnosis import Example
from rlvr.views.web import Places

PLACES = Places(run="20261122-201852-0270")
ID = "train-s000000-b000000-a00-r000-00007"


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ({}, f"/r/20261122-201852-0270/t/{ID}"),
        ({"turn": 3}, f"/r/20261122-201852-0270/t/{ID}?turn=3#turn3"),
        ({"token": 117}, f"/r/20261122-201852-0270/t/{ID}/tokens?at=0%3A117#t117"),
        (
            {"token": 117, "sequence": 1, "turn": 2},
            f"/r/20261122-201852-0270/t/{ID}/tokens?at=1%3A117&turn=2#s1t117",
        ),
    ],
)
def test_an_example_of_a_finding_has_the_url_of_its_place(place, url):
    assert PLACES.of_example(Example(id=ID, why="", **place)) == url


def test_an_example_that_is_a_group_leads_to_the_group():
    assert PLACES.of_example(Example(id="train-b000003-g001", why="")) == PLACES.of_group(
        "train-b000003-g001"
    )


def test_in_a_file_without_that_trajectory_evidence_has_no_url():
    offline = Places(run="x", offline=True)
    assert offline.of_example(Example(id=ID, why="", token=4)) == ""
