/** What programs and libraries meet at the edges of node:net; ends by itself only if nothing holds the process that would not on the kernel. */
const { once } = require('node:events');
const { mkdtempSync, readFileSync, rmSync } = require('node:fs');
const { AsyncLocalStorage } = require('node:async_hooks');
const http = require('node:http');
const net = require('node:net');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const tls = require('node:tls');

const said = {};
const codeOf = (act) => {
  try {
    act();
    return 'nothing thrown';
  } catch (error) {
    return `${error.name} ${error.code}`;
  }
};
const listening = async (server) => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
};

async function wrongOptions() {
  const host = 'localhost';
  said.localAddress = codeOf(() => net.connect({ host, port: 1, localAddress: 'here' }));
  said.localPort = codeOf(() => net.connect({ host, port: 1, localPort: 'x' }));
  said.hints = codeOf(() => net.connect({ host, port: 1, hints: 98 }));
  said.family = codeOf(() => net.connect({ port: 1, autoSelectFamily: 'yes' }));
  said.unmarked = codeOf(() => new net.Socket().connect([{ port: 1 }]));
  // A lookup that never answers holds nobody.
  net.connect({ host, port: 1, lookup: () => {} });
}

async function servers() {
  const server = net.createServer((socket) => {
    said.itsServer = socket.server === server;
    socket.end('one');
  });
  const dropped = once(server, 'drop');
  const port = await listening(server);
  said.key = server._connectionKey;
  server.maxConnections = 1;
  const first = net.connect(port, '127.0.0.1');
  await once(first, 'connect');
  const second = net.connect(port, '127.0.0.1');
  await dropped;
  said.dropped = true;
  first.resume();
  second.resume();
  await Promise.all([once(first, 'close'), once(second, 'close')]);
  // Closed and opened again in one go, then closed for good.
  server.close();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const closed = once(server, 'close');
  server.close();
  await closed;
  said.again = true;
}

async function reading() {
  const server = net.createServer((socket) => socket.end('text'));
  const port = await listening(server);
  const client = net.connect({
    port,
    host: '127.0.0.1',
    onread: {
      buffer: Buffer.alloc(16),
      callback(length) {
        said.onread = [length, this === client];
        return true;
      },
    },
  });
  await once(client, 'close');
  said.handle = client._handle;
  said.prototype = [net.Socket.prototype.bytesWritten, net.Socket.prototype.remoteAddress];
  server.close();
}

async function pipes() {
  const folder = mkdtempSync(join(tmpdir(), 'details-'));
  const path = join(folder, 'pipe');
  const server = net.createServer((socket) => socket.end('by pipe'));
  server.listen(path);
  await once(server, 'listening');
  const socket = new net.Socket();
  socket.connect({ path });
  const [text] = await once(socket, 'data');
  said.pipe = String(text);
  server.close();
  await once(socket, 'close');
  rmSync(folder, { recursive: true });
}

async function secure() {
  const [key, cert] = [readFileSync(process.env.TEST_KEY), readFileSync(process.env.TEST_CERT)];
  const server = tls.createServer({ key, cert }, (socket) => socket.end());
  const port = await listening(server);
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  said.secure = [];
  for (const event of ['connect', 'ready', 'secureConnect', 'end']) client.on(event, () => said.secure.push(event));
  client.resume();
  await once(client, 'close');
  server.close();
}

/** A connection that an agent keeps tells of each request in that request's async context. */
async function reused() {
  const storage = new AsyncLocalStorage();
  let count = 0;
  const server = http.createServer((request, response) => {
    count++;
    if (count < 3) response.end('answer');
    else request.socket.destroy();
  });
  const port = await listening(server);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  said.contexts = [];
  for (const name of ['a', 'b', 'c']) {
    await storage.run(name, async () => {
      await new Promise((resolve) => {
        const note = (what) => () => said.contexts.push([what, storage.getStore()]);
        const request = http.get({ port, host: '127.0.0.1', agent }, (response) => {
          note('response')();
          response.on('end', note('end')).resume();
        });
        request.on('socket', note('socket')).on('error', note('error')).on('close', resolve);
      });
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  agent.destroy();
  server.close();
}

/** Members that only newer versions of Node have. */
async function newer() {
  const { BoundSocket } = net;
  if (BoundSocket === undefined) return;
  const bound = new BoundSocket({ host: '127.0.0.1' });
  const { port } = bound.address();
  const server = net.createServer((socket) => socket.end('bound')).listen(bound);
  const client = net.connect({ port, host: '127.0.0.1', typeOfService: 16 });
  await once(client, 'connect');
  said.bound = [server.address().port === port, bound instanceof BoundSocket, client.getTypeOfService()];
  said.bound.push(String((await once(client.setKeepAlive({ enable: true, initialDelay: 1000 }), 'data'))[0]));
  await once(client, 'close');
  server.close();
  const folder = mkdtempSync(join(tmpdir(), 'details-'));
  const pipe = net.createServer((socket) => socket.end('pipe')).listen(new BoundSocket({ path: join(folder, 'pipe') }));
  await once(pipe, 'listening');
  const [text] = await once(net.connect(join(folder, 'pipe')), 'data');
  said.bound.push(String(text));
  pipe.close();
  rmSync(folder, { recursive: true });
}

/** Nothing of this keeps the process: nobody reads, and nothing is left to be written. */
async function leftOpen() {
  const unheld = net.createServer((socket) => socket.unref());
  unheld.unref();
  unheld.listen(0, '127.0.0.1');
  await once(unheld, 'listening');
  const client = net.connect(unheld.address().port, '127.0.0.1');
  client.pause();
  await once(client, 'connect');
}

(async () => {
  for (const part of [wrongOptions, servers, reading, pipes, secure, reused, newer, leftOpen]) await part();
  console.log(JSON.stringify(said));
})();
