"""A diagnosis of some rollouts: what a filter cuts is never taken for a defect."""

from dataclasses import replace

import numpy as np
import pytest

from builders import batches, write_run
from rlvr.diagnosis import diagnose
from rlvr.diagnosis.diagnose import NEEDS_WHOLE_GROUPS
from rlvr.diagnosis.ledger import Reason
from rlvr.diagnosis.loading import diagnose_run, load_evidence
from rlvr.errors import ConfigurationError
from rlvr.runs import open_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return open_run(write_run(tmp_path_factory.mktemp("run"), steps=12, learns=False))


def test_the_ledger_judges_each_rollout_in_its_whole_group(run):
    whole = load_evidence(run)
    some = load_evidence(run, where="reward < 0.2")
    low = whole.rollouts.numbers("reward") < 0.2
    assert 0 < len(some.rollouts) == low.sum() < len(whole.rollouts)
    assert (some.signal.deciding == whole.signal.deciding[low]).all()
    assert some.ledger.total == len(some.rollouts)
    for reason in Reason:
        assert (some.signal.holds[reason] == whole.signal.holds[reason][low]).all()


def test_without_recorded_advantages_a_cut_group_does_not_look_flat(tmp_path):
    made = [[replace(r, advantage=None) for r in batch] for batch in batches(3, learns=False)]
    folder = write_run(tmp_path, steps=0, extra=[r for batch in made for r in batch])
    whole = load_evidence(open_run(folder))
    some = load_evidence(open_run(folder), where="exact_match = 0 and f1 = 0")
    alike = whole.rollouts.numbers("reward") < 0.11
    assert some.cut_groups > 0
    assert some.rollouts.groups.flat.any()  # by these rollouts alone
    assert (
        some.signal.holds[Reason.ALL_FAILED] == whole.signal.holds[Reason.ALL_FAILED][alike]
    ).all()


def test_what_compares_whole_groups_is_unknown_where_a_filter_cuts_them(run):
    verdict = diagnose_run(run, where="reward < 0.2")
    unknown = {outcome.code for outcome in verdict.unknown if "filter leaves" in outcome.because}
    assert unknown == NEEDS_WHOLE_GROUPS
    assert not NEEDS_WHOLE_GROUPS & {finding.code for finding in verdict.findings}
    assert not NEEDS_WHOLE_GROUPS & {healthy.code for healthy in verdict.healthy}
    assert verdict.where == "reward < 0.2"
    assert "of 96 training rollouts where reward < 0.2" in verdict.remarks[0]
    assert "groups out" in verdict.remarks[1]


def test_a_filter_by_step_cuts_nothing(run):
    filtered, since = diagnose_run(run, where="step >= 6"), diagnose_run(run, since=6)
    assert filtered.findings == since.findings
    assert filtered.healthy == since.healthy
    assert filtered.unknown == since.unknown
    assert filtered.ledger == since.ledger
    assert filtered.steps == since.steps
    assert len(filtered.remarks) == 1


def test_examples_and_messages_are_those_of_the_filter(run):
    some = load_evidence(run, where="errors > 0")
    assert some.contents
    assert all(any(r.error for r in one.tool_results) for one in some.contents)
    assert {one.id for one in some.contents} <= set(some.rollouts.ids)


def test_a_filter_that_nothing_passes(run):
    verdict = diagnose_run(run, where="reward > 9")
    assert (verdict.rollouts, verdict.findings) == (0, ())
    assert "only the 0 of 96" in verdict.remarks[0]
    with pytest.raises(ConfigurationError):
        diagnose_run(run, where="nothing > 9")


def test_without_a_filter_nothing_is_said_of_one(run):
    evidence = load_evidence(run)
    verdict = diagnose(evidence)
    assert evidence.where is verdict.where is None
    assert not any("filter" in remark for remark in verdict.remarks)
    assert np.isin(evidence.signal.deciding, range(len(Reason))).all()
