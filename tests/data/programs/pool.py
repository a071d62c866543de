import asyncio

import httpx


async def main():
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.get("http://server/hosts") for _ in range(4)))
        print([answer.status_code for answer in answers])


asyncio.run(main())
