"""Each attack fails in the sandbox, and most are shown to succeed outside."""

import re

import pytest
from attacks import ATTACKS, INSIDE_ONLY, plainly


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_succeeds_outside_fails_inside(attack, sandbox, world):
    program = world.program(attack)
    inside = sandbox.run(program)
    assert inside.failure is None
    assert inside.stdout.text.startswith("FAILED"), (inside.stdout.text, inside.stderr.text)
    outside = plainly(program, world.folder)
    assert "ESCAPED" in outside or outside.startswith("ld.so"), outside


@pytest.mark.parametrize(("attack", "reason"), INSIDE_ONLY.values(), ids=INSIDE_ONLY)
def test_what_would_do_harm_outside_is_refused_inside(attack, reason, sandbox, world):
    inside = sandbox.run(world.program(attack))
    assert inside.failure is None
    assert "ESCAPED" not in inside.stdout.text
    assert re.search(reason, f"{inside.stdout.text} {inside.signal}"), inside


def test_the_sandbox_works_after_all_of_this(sandbox):
    assert sandbox.run("print(6 * 7)").stdout.text == "42\n"
