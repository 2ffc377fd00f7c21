"""The chat of the FastAPI tutorial with what people add next: an insert for each message before it is broadcast.

One process, a ConnectionManager per chat, `send_text` to each member. The reference that Parley is compared with.
Run: python -m benchmarks.tutorial_server PORT DATABASE_URL
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect


class ConnectionManager:
    def __init__(self) -> None:
        self.active: dict[str, list[WebSocket]] = {}

    async def connect(self, chat_id: str, websocket: WebSocket) -> None:
        await websocket.accept()
        self.active.setdefault(chat_id, []).append(websocket)

    def disconnect(self, chat_id: str, websocket: WebSocket) -> None:
        self.active[chat_id].remove(websocket)

    async def broadcast(self, chat_id: str, message: str) -> None:
        for connection in list(self.active[chat_id]):
            await connection.send_text(message)


manager = ConnectionManager()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool(sys.argv[2], min_size=10, max_size=10)
    await app.state.pool.execute(
        "create table if not exists tutorial_messages (id bigserial primary key, chat_id text, user_id text,"
        " body text, created_at timestamptz default now())"
    )
    print("tutorial server is at", sys.argv[1], flush=True)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)


@app.websocket("/ws/{chat_id}/{user_id}")
async def chat(websocket: WebSocket, chat_id: str, user_id: str) -> None:
    await manager.connect(chat_id, websocket)
    try:
        while True:
            body = await websocket.receive_text()
            row = await app.state.pool.fetchrow(
                "insert into tutorial_messages (chat_id, user_id, body) values ($1, $2, $3) returning id, created_at",
                chat_id,
                user_id,
                body,
            )
            await manager.broadcast(
                chat_id,
                json.dumps({"id": row["id"], "user_id": user_id, "body": body, "at": row["created_at"].isoformat()}),
            )
    except WebSocketDisconnect:
        manager.disconnect(chat_id, websocket)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", ws_per_message_deflate=False)
