/** An ordinary program, which knows nothing of any stack: servers and clients of net, http, https, tls and dgram. */
import dgram from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https, { createServer as createSecureServer } from 'node:https';
import net, { connect, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';

const key = readFileSync(process.env.TEST_KEY);
const cert = readFileSync(process.env.TEST_CERT);
const said = {};
const listening = async (server) => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
};
const textOf = async (stream) => {
  let text = '';
  for await (const part of stream) text += part;
  return text;
};

const echo = net.createServer((socket) => socket.pipe(socket));
const socket = connect(await listening(echo), '127.0.0.1');
socket.end('plain');
said.net = [await textOf(socket), socket instanceof net.Socket, socket instanceof Socket, echo instanceof net.Server];
said.where = socket.chimney === undefined ? 'the kernel' : 'a stack';
echo.close();

const web = http.createServer((request, response) => response.end(`${request.url} ${request.socket.remoteAddress}`));
const webPort = await listening(web);
const get = (module, options) =>
  new Promise((resolve, reject) => {
    module.get(options, (response) => textOf(response).then(resolve, reject)).on('error', reject);
  });
said.http = await get(http, { port: webPort, path: '/a' });
said.localhost = await get(http, { host: 'localhost', port: webPort, path: '/b' });
said.fetch = await (await fetch(`http://127.0.0.1:${webPort}/c`)).text();
web.close();
web.closeAllConnections();

const secure = createSecureServer({ key, cert }, (request, response) =>
  response.end(`${request.url} ${request.socket.remoteAddress} ${request.socket.encrypted}`),
);
const securePort = await listening(secure);
said.https = await get(https, { port: securePort, path: '/d', rejectUnauthorized: false, agent: new https.Agent() });
secure.close();

const quiet = tls.createServer({ key, cert }, (one) => one.end(`hello ${one.remoteAddress}`));
const quietPort = await listening(quiet);
const client = tls.connect({ port: quietPort, host: '127.0.0.1', rejectUnauthorized: false });
said.tls = [await textOf(client), client.remotePort === quietPort, client instanceof net.Socket];
const under = connect({ port: quietPort, host: '127.0.0.1', allowHalfOpen: true });
await once(under, 'connect');
said.tlsOverSocket = await textOf(tls.connect({ socket: under, rejectUnauthorized: false }));
// Half open, it would outlive the TLS over it: newer Node goes on reading it.
under.destroy();
quiet.close();

const udp = dgram.createSocket('udp4').bind(0, '127.0.0.1');
await once(udp, 'listening');
udp.on('message', (message, from) => udp.send(`${message}!`, from.port, from.address));
const asker = dgram.createSocket('udp4');
asker.send('datagram', udp.address().port, '127.0.0.1');
said.dgram = String((await once(asker, 'message'))[0]);
asker.close();
udp.close();

const path = join(tmpdir(), `register-${process.pid}.sock`);
const pipe = net.createServer((one) => one.end('pipe')).listen(path);
await once(pipe, 'listening');
said.pipe = await textOf(connect(path));
pipe.close();
rmSync(path, { force: true });

const refused = connect(9, '127.0.0.1');
said.refused = (await once(refused, 'error'))[0].code;
console.log(JSON.stringify(said));
