"""A network between a process and a server, that can be cut, or stand still with every connection open."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any

_LINGER_NOT = struct.pack("ii", 1, 0)


class Wire:
    """Listens on a port of its own and passes on what comes, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._refuses = False
        threading.Thread(target=self._loop.run_forever, daemon=True, name="wire").start()
        self.port: int = self._do(self._listen())

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> int:
        self._open.set()
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._refuses:
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
            self._writers.add(far_writer)
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        except OSError:
            pass
        finally:
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _cut(self, refuses: bool) -> None:
        self._refuses = refuses
        for writer in list(self._writers):
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            writer.transport.abort()
        self._writers.clear()

    async def _flow(self, flows: bool) -> None:
        self._refuses = False
        if flows:
            self._open.set()
        else:
            self._open.clear()

    def cut(self, refuses: bool = False) -> None:
        """Every connection is reset. refuses: new ones too, until `flow`."""
        self._do(self._cut(refuses))

    def freeze(self) -> None:
        """Connections stay open, and nothing comes through."""
        self._do(self._flow(False))

    def flow(self) -> None:
        self._do(self._flow(True))

    def close(self) -> None:
        self.cut(refuses=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
