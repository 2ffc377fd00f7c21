"""The chat of the FastAPI tutorial with what people add next: a session and an insert for each message.

One process, a ConnectionManager per chat, `send_text` to each member, SQLAlchemy's ORM with an async session a message, as
its and FastAPI's documentation show. The reference that Parley is compared with; it has no broker, no policies, no
order, no repeat-safe ids and no resume.
Run: python -m benchmarks.tutorial_server PORT DATABASE_URL
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from sqlalchemy import DateTime, func
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Message(Base):
    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    chat_id: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


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
    engine = create_async_engine(sys.argv[2].replace("postgresql://", "postgresql+asyncpg://"), pool_size=10)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    app.state.session = async_sessionmaker(engine, expire_on_commit=False)
    print("tutorial server is at", sys.argv[1], flush=True)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.websocket("/ws/{chat_id}/{user_id}")
async def chat(websocket: WebSocket, chat_id: str, user_id: str) -> None:
    await manager.connect(chat_id, websocket)
    try:
        while True:
            body = await websocket.receive_text()
            message = Message(chat_id=chat_id, user_id=user_id, body=body)
            session: AsyncSession
            async with app.state.session() as session:
                session.add(message)
                await session.commit()
                await session.refresh(message)
            await manager.broadcast(
                chat_id,
                json.dumps({"id": message.id, "user_id": user_id, "body": body, "at": message.created_at.isoformat()}),
            )
    except WebSocketDisconnect:
        manager.disconnect(chat_id, websocket)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", ws_per_message_deflate=False)
