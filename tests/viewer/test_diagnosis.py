"""`/r/RUN/diagnosis`: the verdict with its ledger and evidence, and while it is awaited."""

import html
import re
import threading
import time
from dataclasses import replace

import pytest

from builders import RUN_ID, batches, run_info, write_run
from rlvr.diagnosis import diagnose_run
from rlvr.diagnosis.headline import headline
from rlvr.recorder import Recorder
from rlvr.runs import open_run
from rlvr.utils.places import Places
from rlvr.viewer.answers import Answers
from viewers import client_of

AT = f"/r/{RUN_ID}"


@pytest.fixture
def ill(tmp_path):
    """A run whose prompts attention does not see from step 2 on."""
    folder = tmp_path / "run"
    with Recorder.open(folder, info=run_info(run=RUN_ID), run=RUN_ID) as recorder:
        for step, batch in enumerate(batches(5)):
            seen = [_blind(one) if step >= 2 else one for one in batch]
            recorder.record_batch([replace(one, run=RUN_ID) for one in seen])
    return folder


def _blind(rollout):
    evidence = replace(rollout.evidence, attended_share=0.5, unattended_prompt_tokens=60)
    return replace(rollout, evidence=evidence)


def shown(client, url):
    """The text of a page, once its answer is there."""
    for _ in range(100):
        page = client.get(url)
        if 'http-equiv="refresh"' not in page.text:
            return page.text
        time.sleep(0.2)
    raise AssertionError(f"{url} is awaited for ever")


def test_it_shows_every_finding_with_the_evidence_that_it_cites(ill):
    verdict = diagnose_run(open_run(ill))
    page = shown(client_of(ill), f"{AT}/diagnosis")
    text = html.unescape(page)
    assert verdict.finding("context-not-attended").since_step == 2  # else this shows nothing
    for sentence in headline(verdict):
        assert sentence in text
    for finding in verdict.findings:
        assert f'id="{finding.code}"' in page
        assert finding.sentence in text
        assert finding.refuted_by in text
        assert finding.remedy in text
        for example in finding.examples:
            assert f'href="{Places(run=RUN_ID).of_example(example)}"' in text
    for outcome in (*verdict.healthy, *verdict.unknown):
        assert outcome.code in text
    assert f'href="{AT}/s/2">open step 2</a>' in page
    assert page.count("data-stop") == len(verdict.findings)


def test_the_ledger_adds_up_and_each_line_opens_its_rollouts(ill):
    client = client_of(ill)
    ledger = diagnose_run(open_run(ill)).ledger
    page = shown(client, f"{AT}/diagnosis")
    opened = re.findall(r'href="([^"]*/ledger\?line=(\w+)[^"]*)">([\d,]+)</a>', page)
    assert sum(int(count.replace(",", "")) for _, _, count in opened) == ledger.total
    assert {line for _, line, _ in opened} == {
        line.reason.value for line in ledger.lines if line.rollouts
    }
    for url, _, count in opened:
        listed = shown(client, html.unescape(url))
        assert f"{count} rollout" in listed
        assert listed.count('id="row-') == int(count)


def test_it_judges_from_a_step_on_and_what_passes_a_filter(ill):
    client = client_of(ill)
    verdict = diagnose_run(open_run(ill), since=3)
    assert f"{verdict.rollouts} training rollouts, steps 3 to 4" in shown(
        client, f"{AT}/diagnosis?since=3"
    )
    narrowed = html.unescape(shown(client, f"{AT}/diagnosis?where=turns+%3E+2"))
    assert "training rollouts where turns > 2" in narrowed
    assert "--where 'turns > 2'" in narrowed  # the same in a terminal


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ("where=nonsense+%3E+1", 400, "nothing is named"),
        ("since=-1", 400, "since is"),
        ("eval=no-such-run", 404, "no run"),
    ],
)
def test_a_wrong_question_is_explained(ill, asked, status, said):
    client = client_of(ill)
    answer = client.get(f"{AT}/diagnosis?{asked}")
    while 'http-equiv="refresh"' in answer.text:
        answer = client.get(f"{AT}/diagnosis?{asked}")
    assert answer.status_code == status
    assert said in html.unescape(answer.text)


def test_a_run_beside_another_brings_the_gap_between_them_in(ill):
    other = "20260102-030405-cafe"
    write_run(ill, steps=3, run=other)
    client = client_of(ill, only=False)
    assert client.get(f"{AT}/diagnosis?eval={RUN_ID}").status_code == 400  # itself
    alone = shown(client, f"{AT}/diagnosis")
    beside = html.unescape(shown(client, f"{AT}/diagnosis?eval={other}"))
    assert "no evaluation was named" in alone
    assert "no evaluation was named" not in beside
    assert f'href="/c?a={RUN_ID}&b={other}"' in beside
    assert re.search(rf"rlvr diagnose \S+ --eval \S*{other}", beside)


def test_an_answer_is_awaited_and_then_there(ill):
    ready = threading.Event()
    answers = Answers()

    def slow():
        ready.wait(10)
        return "found"

    assert answers.of("x", "1", slow, patience_s=0).value is None
    ready.set()
    assert answers.of("x", "1", slow, patience_s=10).value == "found"
    assert answers.count == 1


def test_an_answer_that_took_long_is_not_made_anew_at_once():
    answers, made = Answers(), []

    def slow():
        made.append(time.monotonic())
        time.sleep(0.1)
        return len(made)

    assert answers.of("x", "1", slow, patience_s=5).value == 1
    stale = answers.of("x", "2", slow, patience_s=0)
    assert (stale.value, stale.current) == (1, False)
    assert answers.of("x", "2", slow, patience_s=5).value == 2
    assert made[1] - made[0] >= 0.4  # its own time, and three more
