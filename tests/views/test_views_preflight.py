import io

from rich.console import Console

from rlvr.record.check import Check, CheckStatus, PreflightReport
from rlvr.views.terminal.preflight import preflight_view, summary_line


def check(name, status, sentence="It is so.", remedy=""):
    return Check(name=name, status=CheckStatus(status), sentence=sentence, remedy=remedy)


def report(*checks):
    return PreflightReport(
        trainer="EnhancedGRPOTrainer",
        repairs=("attention",),
        inference="embedded",
        rollouts=64,
        duration_s=2.5,
        checks=checks,
    )


def printed(found):
    out = io.StringIO()
    Console(file=out, width=200, markup=False).print(preflight_view(found), soft_wrap=True)
    return out.getvalue()


def test_the_first_failure_is_the_first_to_mend():
    found = report(
        check("tools answer", "unknown", "the environment offers no tools."),
        check("limits fit", "fail", remedy="raise max_tokens"),
        check("groups vary", "fail", remedy="take other prompts"),
    )
    shown = printed(found)
    assert summary_line(found) == "2 fail · 1 unknown"
    assert "? unknown  tools answer  the environment offers no tools." in shown
    assert shown.index("First to mend ── limits fit") < shown.index("raise max_tokens")
    assert "take other prompts" not in shown
    assert "1 failed check stands after it" in shown


def test_nothing_is_to_mend_where_no_check_failed():
    assert "mend" not in printed(report(check("limits fit", "pass")))


def test_what_a_model_wrote_stays_inert_and_is_not_read_as_markup():
    shown = printed(report(check("limits fit", "fail", "[red]\x1b[31m said the model")))
    assert "[red]\\x1b[31m said the model" in shown
