/** What programs meet at the edges of node:tls; what it says must be the same on the kernel and on a stack. */
const { once } = require('node:events');
const { readFileSync } = require('node:fs');
const net = require('node:net');
const tls = require('node:tls');

const said = {};
const [key, cert] = [readFileSync(process.env.TEST_KEY), readFileSync(process.env.TEST_CERT)];
const rejectUnauthorized = false;
const host = '127.0.0.1';
const listening = async (server) => {
  server.listen(0, host);
  await once(server, 'listening');
  return server.address().port;
};
const codeOf = (act) => {
  try {
    act();
    return 'nothing thrown';
  } catch (error) {
    return `${error.name} ${error.code}`;
  }
};

/** A call that throws leaves no connection behind that could fail later. */
async function wrongOptions() {
  said.wrong = [
    codeOf(() => tls.connect({ port: 1, host, minVersion: 'TLSv9' })),
    codeOf(() => tls.connect({ port: 70_000, host })),
    codeOf(() => tls.connect({})),
    codeOf(() => tls.connect({ port: 1, host, ciphers: 1 })),
  ];
  await new Promise((resolve) => setTimeout(resolve, 50));
}

/** Clients that go before TLS has begun are told of, and not kept. */
async function goneEarly() {
  const server = tls.createServer({ key, cert });
  const port = await listening(server);
  for (const leave of ['end', 'destroy']) {
    const client = net.connect(port, host, () => client[leave]()).resume();
    const closed = once(client, 'close');
    const [error, socket] = await once(server, 'tlsClientError');
    said[`${leave} early`] = [error.code, error.message, socket.remoteAddress, socket.destroyed];
    await closed;
  }
  server.close();
  await once(server, 'close');
}

/** While it connects a TLS socket says so, and waits. */
async function connecting() {
  const server = tls.createServer({ key, cert }, (socket) => socket.end('hello'));
  const port = await listening(server);
  const client = tls.connect({ port, host, rejectUnauthorized });
  said.connecting = [client.connecting, client.pending, client.readyState];
  client.on('connect', () =>
    said.connecting.push(client.connecting, client.address().address, client.remotePort === port),
  );
  client.setNoDelay(true).setKeepAlive(true, 1000);
  client.resume();
  await once(client, 'close');
  server.close();
}

/** A socket that came another way is given to a TLS server. */
async function givenToServer() {
  const secure = tls.createServer({ key, cert }, (socket) => socket.end('by another way'));
  const plain = net.createServer((socket) => secure.emit('connection', socket));
  const port = await listening(plain);
  const client = tls.connect({ port, host, rejectUnauthorized });
  said.given = String((await once(client, 'data'))[0]);
  await once(client, 'close');
  plain.close();
}

/** TLS over a socket that still connects, one that is connected, and one that the TLS socket makes itself. */
async function overSockets() {
  const server = tls.createServer({ key, cert }, (socket) => socket.end('over'));
  const port = await listening(server);
  said.over = [];
  const read = async (client) => {
    let text = '';
    for await (const data of client) text += data;
    said.over.push(text);
  };
  const begun = net.connect({ port, host, allowHalfOpen: true });
  await read(tls.connect({ socket: begun, rejectUnauthorized }));
  const connected = net.connect({ port, host, allowHalfOpen: true });
  await once(connected, 'connect');
  await read(tls.connect({ socket: connected, rejectUnauthorized }));
  // Half open, they would outlive the TLS over them: newer Node goes on reading them.
  for (const socket of [begun, connected]) socket.destroy();
  const own = new tls.TLSSocket(null, {});
  own.connect(port, host, () => said.over.push('connected', own instanceof tls.TLSSocket, own instanceof net.Socket));
  own.write('begins the handshake');
  await read(own);
  server.close();
}

async function reading() {
  const server = tls.createServer({ key, cert }, (socket) => socket.end('text'));
  const port = await listening(server);
  const buffer = Buffer.alloc(16);
  const callback = (length, bytes) => {
    said.onread = [length, bytes === buffer];
  };
  const client = tls.connect({ port, host, rejectUnauthorized, onread: { buffer, callback } });
  client.resume();
  await once(client, 'close');
  server.close();
}

/** More renegotiations than a server allows end that connection and nothing else. */
async function askingAnew() {
  const server = tls.createServer({ key, cert, maxVersion: 'TLSv1.2' }, (socket) => {
    socket.on('error', (error) => {
      said.renegotiated = error.code;
      client.destroy();
    });
    socket.resume();
  });
  const port = await listening(server);
  const client = tls.connect({ port, host, rejectUnauthorized, maxVersion: 'TLSv1.2' });
  client.resume();
  await once(client, 'secureConnect');
  let count = 0;
  const again = (error) => {
    if (!error && ++count < 10) client.renegotiate({ rejectUnauthorized }, again);
  };
  again(null);
  client.on('error', () => {});
  await once(client, 'close');
  server.close();
}

(async () => {
  for (const part of [wrongOptions, goneEarly, connecting, givenToServer, overSockets, reading, askingAnew]) {
    await part();
  }
  console.log(JSON.stringify(said));
})();
