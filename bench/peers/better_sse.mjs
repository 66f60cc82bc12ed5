// better-sse on Node: a channel, and one event buffer that all its sessions share (its "batching" guide).
//
//     node better_sse.mjs PORT HEARTBEAT_SECONDS FOLDER_OF_NODE_MODULES
//
// A space before each value makes the bytes those of the others: better-sse writes "data:" without one.

import http from "node:http";
import { createRequire } from "node:module";

const [port, heartbeat, folder] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];
const { createChannel, createEventBuffer, createSession } = createRequire(`${folder}/`)("better-sse");

const asIs = (text) => text;
const channel = createChannel();

const opening = createEventBuffer({ serializer: asIs, sanitizer: asIs })
  .retry(3000).dispatch()
  .event(" stream").data(' {"mode":"fresh","position":"000000000000-0"}').dispatch()
  .id(" 000000000000-0").dispatch();

const server = http.createServer(async (request, response) => {
  if (request.method === "POST") {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const [id, data] = Buffer.concat(chunks).toString().split("\n");
    const at = process.hrtime.bigint();
    const buffer = createEventBuffer({ serializer: asIs, sanitizer: asIs })
      .id(id.slice(3)).data(data.slice(5)).dispatch();
    for (const session of channel.activeSessions) session.batch(buffer);
    response.writeHead(200, { at: String(at), "content-length": "0" }).end();
    return;
  }
  const session = await createSession(request, response, {
    serializer: asIs, sanitizer: asIs, retry: null, keepAlive: heartbeat * 1000,
  });
  await session.batch(opening);
  channel.register(session);
});

server.keepAliveTimeout = 0;
server.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => console.log("listening"));
