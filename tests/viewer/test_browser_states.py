"""What a page shows must be seen: token states without colours, and files that are torn."""

import io

import pytest
from PIL import Image, ImageChops

from browsing import chromium, visiting
from builders import GROUP_SIZE, GROUPS, token_details, trajectory, write_run
from rlvr.runs import open_run
from rlvr.views.web import Places
from viewers import client_of, served

ALIKE = """
() => document.querySelectorAll(".legend-states li > .run").forEach((swatch) => {
  swatch.querySelector("i").remove();
  swatch.querySelector("span").textContent = "some tokens";
})
"""
"""Takes the letters and words away, by which states tell apart too."""


def grey(picture):
    return Image.open(io.BytesIO(picture)).convert("L")


def apart(one, other):
    """The share of points whose brightness differs to the eye."""
    size = (min(one.width, other.width), min(one.height, other.height))
    differences = ImageChops.difference(one.crop((0, 0, *size)), other.crop((0, 0, *size)))
    seen = sum(differences.histogram()[12:])
    return seen / (size[0] * size[1])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_five_token_states_tell_apart_in_greyscale_by_their_look_alone(tmp_path, theme):
    folder = write_run(tmp_path / "run", steps=0, extra=[trajectory(tokens=token_details(50))])
    (only,) = open_run(folder).trajectories(tokens=False)
    place = Places(run=open_run(folder).id).of_tokens(only.id)
    settings = {"color_scheme": theme, "device_scale_factor": 2}
    with (
        chromium() as browser,
        served(folder) as viewer,
        visiting(browser, viewer, **settings) as visits,
    ):
        visits.go(place)
        visits.page.evaluate(ALIKE)
        swatches = visits.page.locator(".legend-states li > .run").all()
        looks = {one.get_attribute("class"): grey(one.screenshot()) for one in swatches}
    assert len(looks) == 5
    alike = [
        (one, other, apart(looks[one], looks[other]))
        for one in looks
        for other in looks
        if one < other and apart(looks[one], looks[other]) < 0.02
    ]
    assert not alike


def test_a_torn_file_is_named_and_all_else_is_shown(tmp_path):
    folder = write_run(tmp_path / "torn", steps=4)
    first = min((folder / "trajectories" / "L0").glob("*.parquet"))
    first.write_bytes(first.read_bytes()[:1_000])
    client, places = client_of(folder), Places(run=open_run(folder).id)
    while "reading the run" in client.get(places.of_run()).text:
        pass
    page = client.get(places.of_run()).text
    assert "1 file can't be read" in page
    assert first.name in page
    torn = client.get(places.of_step(0))
    assert torn.status_code == 404
    assert "the files of step 0 (train) can&#39;t be read" in torn.text
    assert client.get(places.of_step(2)).status_code == 200
    assert f"{3 * GROUPS * GROUP_SIZE} rollouts" in client.get(places.of_rollouts()).text
