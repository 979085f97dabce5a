"""Numbers of the pages of a run, a step and its prompts open as many rollouts as they count."""

import html
import math
import re
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pyarrow.compute as pc
import pytest

from builders import RUN_ID, batches, odd_trajectory, run_info
from rlvr.analysis import SUMMARY_COLUMNS, summarise
from rlvr.questions.histories import read_table
from rlvr.record import Mode, TokenEvidence
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.views.web import Places
from viewers import client_of

PLACES = Places(run=RUN_ID)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Training with rollouts that lack most of what is counted, of examples seen several times, and
    an evaluation of one step."""
    folder = tmp_path_factory.mktemp("numbers") / "run"
    with Recorder.open(folder, info=run_info(run=RUN_ID), run=RUN_ID) as recorder:
        for step, batch in enumerate(batches(5)):
            rows = [
                replace(row, run=RUN_ID, example_id=f"q{at % 3}") for at, row in enumerate(batch)
            ]
            rows[0] = replace(
                odd_trajectory(), run=RUN_ID, step=step, batch=step, group_id=rows[0].group_id
            )
            rows[1] = replace(
                rows[1],
                evidence=replace(
                    TokenEvidence(), ids_match=step % 2 == 0, truncated=True, sequences=2
                ),
            )
            rows[2] = replace(rows[2], reward=None, stop_reason="it's odd")
            recorder.record_batch(rows)
        rows = next(iter(batches(1)))
        recorder.record_batch(
            [replace(row, run=RUN_ID, mode=Mode.EVAL, step=3, advantage=None) for row in rows]
        )
    return folder


@pytest.fixture
def page(folder):
    client = client_of(folder)

    def read(url):
        for _ in range(200):
            answer = client.get(url)
            if not re.search('http-equiv="refresh"|being counted|being read', answer.text):
                assert answer.status_code == 200, url
                return answer.text
        raise AssertionError(f"{url} is awaited for ever")

    return read


@pytest.fixture
def listed(page):
    """How many rollouts stand at a URL."""

    def count(url):
        text = page(html.unescape(url)).partition("<main")[2]
        return int(re.search(r"([\d,]+) rollouts?\b", text)[1].replace(",", ""))

    return count


def links(text):
    """(label, URL) of what a piece of a page links to."""
    found = re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)</a>', text)
    return [(html.unescape(label), html.unescape(url)) for url, label in found]


def row_of(text, anchor):
    return re.search(rf'<tr[^>]*id="{anchor}".*?</tr>', text, re.DOTALL)[0]


def known(table, column, mode, step):
    chosen = pc.and_(pc.equal(table["mode"], mode), pc.equal(table["step"], step))
    return table.filter(chosen)[column].to_pylist()


def test_the_steps_of_a_run(page, listed, folder):
    text, run = page(PLACES.of_run()), open_run(folder)
    table = run.to_arrow(SUMMARY_COLUMNS)
    for row in summarise(table).steps:
        cells = links(row_of(text, f"s{row.step}-{row.mode}"))
        urls = [url for _, url in cells]
        rewards = known(table, "reward", row.mode, row.step)
        finite = [one for one in rewards if one is not None]
        expected = {
            1: row.trajectories,
            2: len(finite),
            3: finite.count(row.reward_min),
            4: finite.count(row.reward_max),
        }
        for column, at in (
            ("derived_num_turns", 6),
            ("derived_num_tool_calls", 7),
            ("sampled_tokens", 8),
        ):
            values = known(table, column, row.mode, row.step)
            expected[at] = sum(one is not None for one in values)
        assert len(cells) == 9
        assert urls[5].endswith("#groups")
        for at, count in expected.items():
            if not (at in (3, 4) and not math.isfinite((row.reward_min, row.reward_max)[at - 3])):
                assert listed(urls[at]) == count, (row.step, at, cells[at])


def test_why_episodes_stopped(page, listed, folder):
    text = page(PLACES.of_run())
    section = text.partition('id="stops"')[2].partition("</section>")[0]
    summary = summarise(open_run(folder).to_arrow(SUMMARY_COLUMNS))
    found = links(section)
    assert len(found) == 2 * len(summary.stop_reasons)
    for at, row in enumerate(summary.stop_reasons):
        assert listed(found[2 * at][1]) == row.trajectories
    assert [row.reason for row in summary.stop_reasons if row.reason == "it's odd"]


def test_the_token_evidence_of_a_run_and_of_a_step(page, listed, folder):
    table = open_run(folder).to_arrow(["mode", "step", *EVIDENCE])
    for url, where in ((PLACES.of_run(), {}), (PLACES.of_step(2), {"step": 2})):
        section = page(url).partition('id="tokens"')[2].partition("</section>")[0]
        urls = [one for _, one in links(section)]
        chosen = pc.equal(table["mode"], "train")
        for name, value in where.items():
            chosen = pc.and_(chosen, pc.equal(table[name], value))
        own = {name: table.filter(chosen)[name].to_pylist() for name in EVIDENCE}
        expected = [
            sum(one is not None for one in own["sampled_tokens"]),
            sum(one is not None for one in own["trained_tokens"]),
            own["ids_match"].count(True),
            sum(one is not None for one in own["attended_share"]),
            sum(one is not None for one in own["gap_mean"]),
            sum((one or 0) > 1 for one in own["sequences"]),
            own["truncated"].count(True),
        ]
        assert [listed(one) for one in urls] == expected
        assert expected[2] > 0 < expected[5]


EVIDENCE = (
    *("sampled_tokens", "trained_tokens", "ids_match", "attended_share", "gap_mean"),
    *("sequences", "truncated"),
)


@pytest.mark.parametrize(("step", "split"), [(2, "train"), (3, "eval")])
def test_the_components_of_a_step(page, listed, folder, step, split):
    text = page(PLACES.of_step(step, split=split))
    table = open_run(folder).to_arrow(SUMMARY_COLUMNS, mode=split, step=step)
    (row,) = summarise(table).steps
    scores = [dict(one) for one in table["rewards"].to_pylist()]
    for name in row.components:
        cells = re.search(rf'<tr id="r-{re.escape(html.escape(name))}".*?</tr>', text, re.S)[0]
        found = [url for _, url in links(cells)]
        assert listed(found[0]) == sum(one.get(name) is not None for one in scores)
        missing = row.unscored.get(name, 0)
        assert len(found) == 1 + bool(missing)
        assert not missing or listed(found[1]) == missing
    section = text.partition('id="reward"')[2].partition("</section>")[0]
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", section))
    assert set(facts) == {"turns", "tool calls", "failed calls", "sampled tokens", "generation"}
    assert all(links(value) for value in facts.values())


def test_what_became_of_a_steps_rollouts(page, listed):
    text = page(PLACES.of_step(2))
    section = text.partition('id="signal"')[2].partition("</section>")[0]
    fates = re.findall(
        r'class="swatch fate-(\w+)"></span>\w+ <a href="([^"]+)">([\d,]+)</a>', section
    )
    assert fates
    for _, url, count in fates:
        assert listed(url) == int(count)
    total = re.search(r'of <a href="([^"]+)">(\d+) rollouts', section)
    assert listed(total[1]) == int(total[2]) == sum(int(count) for _, _, count in fates)


def test_the_ledger_of_the_diagnosis(page, listed):
    text = page(PLACES.of_diagnosis())
    table = text.partition('id="ledger"')[2].partition("</table>")[0]
    counted = [
        (url, int(label.replace(",", "")))
        for label, url in links(table)
        if re.fullmatch(r"[\d,]+", label)
    ]
    assert any("fate=" in url for url, _ in counted)
    assert all(listed(url) == count for url, count in counted)


def test_the_list_of_prompts(page, listed, folder):
    text = page(PLACES.of_prompts())
    rows = re.findall(r'<tr data-item id="e-\d+">.*?</tr>', text, re.DOTALL)
    courses = read_table(open_run(folder), component=None, threshold=None).courses(Mode.TRAIN)
    by_name = {course.example: course for course in courses}
    split = 0
    for row in rows:
        found = links(row)
        course = by_name[found[0][0]]
        by_url = [(label, url) for label, url in found if "/rollouts" in url]
        assert listed(by_url[0][1]) == course.rollouts
        if len(by_url) == 3:
            split += 1
            assert listed(by_url[1][1]) + listed(by_url[2][1]) == course.rollouts
    assert split


def test_one_prompt(page, listed, folder):
    text = page(PLACES.of_prompt("q1"))
    where = dict(parse_qsl(urlsplit(dict(links(text))["all its rollouts"]).query))["where"]
    counts = [
        (int(label.split()[0]), url)
        for label, url in links(text)
        if re.fullmatch(r"\d+ rollouts", label)
    ]
    assert counts
    assert all(listed(url) == count for count, url in counts)
    assert sum(count for count, _ in counts) == open_run(folder).index.count(where)
