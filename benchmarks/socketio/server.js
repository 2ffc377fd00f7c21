// A chat as a Node developer writes it with Socket.IO: rooms, the Redis adapter, an awaited insert before the broadcast, history
// by Express and pg. The reference that Parley is measured beside; it has no broker, no policies, no ids that are safe to
// repeat, no gapless order and no resume but "give me what came after this id".
// Run: node server.js PORT DATABASE_URL REDIS_URL
const { createServer } = require("node:http");
const express = require("express");
const { Pool } = require("pg");
const { createClient } = require("redis");
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-adapter");

const SCHEMA = `
  create table if not exists members (chat_id uuid, user_id text, primary key (chat_id, user_id));
  create index if not exists members_user on members (user_id);
  create table if not exists messages (
    id serial primary key, chat_id uuid not null, user_id text not null, body text not null,
    created_at timestamptz not null default now());
  create index if not exists messages_chat on messages (chat_id, id)`;
const COLUMNS = "id, chat_id, user_id, body, created_at";

async function main() {
  const [port, databaseUrl, redisUrl] = process.argv.slice(2);
  const pool = new Pool({ connectionString: databaseUrl, max: 10 });
  await pool.query(SCHEMA);
  const publisher = createClient({ url: redisUrl });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);

  const app = express();
  app.get("/chats/:id/messages", async (request, response) => {
    const limit = Math.min(Number(request.query.limit) || 50, 100);
    const before = Number(request.query.before) || 2 ** 31 - 1;
    const member = await pool.query("select 1 from members where chat_id = $1 and user_id = $2", [
      request.params.id, request.get("x-user") ?? "",
    ]);
    if (member.rowCount === 0) return response.status(404).json({ error: "not found" });
    const found = await pool.query(
      `select ${COLUMNS} from messages where chat_id = $1 and id < $2 order by id desc limit $3`,
      [request.params.id, before, limit],
    );
    response.json({ items: found.rows });
  });

  const server = createServer(app);
  const io = new Server(server, { adapter: createAdapter(publisher, subscriber) });
  io.on("connection", async (socket) => {
    const { user_id: userId, after } = socket.handshake.auth;
    socket.on("message", async (chatId, body, done) => {
      if (!socket.rooms.has(chatId)) return done?.({ error: "not a member" });
      const { rows } = await pool.query(
        `insert into messages (chat_id, user_id, body) values ($1, $2, $3) returning ${COLUMNS}`,
        [chatId, userId, body],
      );
      io.to(chatId).emit("message", rows[0]);
      done?.({ id: rows[0].id });
    });
    const chats = await pool.query("select chat_id from members where user_id = $1", [userId]);
    await socket.join(chats.rows.map((row) => row.chat_id));
    if (after !== undefined) {
      const missed = await pool.query(
        `select ${COLUMNS} from messages where chat_id = any($1) and id > $2 order by id`,
        [chats.rows.map((row) => row.chat_id), after],
      );
      for (const row of missed.rows) socket.emit("message", row);
    }
    socket.emit("ready");
  });
  server.listen(Number(port), "127.0.0.1", () => console.log(`socket.io server is at ${port}`));
}

main();
