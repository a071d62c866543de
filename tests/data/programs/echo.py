import asyncio
import sys

import websockets


async def echo(socket, path=None):
    await socket.send(await socket.recv())


async def serve():
    async with websockets.serve(echo, "0.0.0.0", 8765):
        await asyncio.Future()


async def ask():
    async with websockets.connect("ws://server:8765") as socket:
        await socket.send("hello")
        print(await socket.recv())


asyncio.run(serve() if sys.argv[1] == "serve" else ask())
