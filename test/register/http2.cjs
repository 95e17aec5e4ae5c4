/** What programs meet of node:http2; what each of the parties sees must be the same on the kernel and on a stack. */
const { once } = require('node:events');
const http2 = require('node:http2');

const said = {};
const host = '127.0.0.1';
const note =
  (who) =>
  (...what) => {
    said[who] ??= [];
    said[who].push(...what);
  };

async function refused() {
  for (const scheme of ['http', 'https']) {
    const session = http2.connect(`${scheme}://${host}:9`);
    const noteSession = note(`${scheme} refused`);
    session.on('error', (error) => noteSession(error.code, error.syscall));
    const request = session.request({ ':path': '/' });
    request.on('error', (error) => note(`${scheme} refused request`)(error.code));
    await Promise.all([session, request].map((one) => new Promise((resolve) => one.on('close', resolve))));
  }
}

async function served() {
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    const { remoteAddress, localPort } = stream.session.socket;
    note('server')(remoteAddress, localPort === server.address().port, headers['x-name']);
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  server.listen(0, host);
  await once(server, 'listening');
  const { port } = server.address();
  const session = http2.connect(`http://${host}:${port}`);
  const noteClient = note('client');
  noteClient(session.connecting);
  session.on('connect', (_session, socket) => {
    noteClient('connect', session.connecting, socket.remotePort === port, socket.localAddress, socket.remoteFamily);
  });
  const request = session.request({ ':path': '/', ':method': 'POST', 'x-name': 'value' });
  request.end('x'.repeat(100_000));
  let length = 0;
  for await (const data of request) length += data.length;
  noteClient(length);
  session.close();
  await once(session, 'close');
  server.close();
  await once(server, 'close');
}

(async () => {
  for (const part of [refused, served]) await part();
  console.log(JSON.stringify(said));
})();
