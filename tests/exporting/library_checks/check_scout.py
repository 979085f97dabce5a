"""Opens an export with Inspect Scout: python check_scout.py FOLDER EXPECTED_ROLLOUTS."""

import asyncio
import sys

from inspect_scout import TranscriptContent, transcripts_from


async def main() -> None:
    """Read every transcript's description and messages."""
    messages = 0
    seen = set()
    async with transcripts_from(sys.argv[1]).reader() as reader:
        infos = [info async for info in reader.index()]
        for info in infos[:200]:
            transcript = await reader.read(info, TranscriptContent(messages="all"))
            assert transcript.message_count == len(transcript.messages), info
            assert info.metadata["mode"] in ("train", "eval")
            messages += len(transcript.messages)
            seen |= {message.role for message in transcript.messages}
    assert len(infos) == int(sys.argv[2]), len(infos)
    assert {"user", "assistant", "tool"} <= seen, seen
    print(f"{len(infos)} transcripts, {messages} messages read")


asyncio.run(main())
