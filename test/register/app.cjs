/** As app.mjs, with require, and old habits. */
const http = require('node:http');
const net = require('node:net');
const { createConnection } = require('node:net');

const server = net.Server((socket) => socket.end('required'));
server.listen(0, () => {
  const socket = createConnection({ port: server.address().port });
  let text = '';
  socket.on('data', (data) => {
    text += data;
  });
  socket.on('close', () => {
    server.close();
    const web = http
      .createServer((_request, response) => response.end('ok'))
      .listen(0, () => {
        http.get({ port: web.address().port, agent: false }, (response) => {
          response.on('data', (data) => {
            text += ` ${data}`;
          });
          response.on('end', () => {
            web.close();
            console.log(JSON.stringify({ text, where: socket.chimney === undefined ? 'the kernel' : 'a stack' }));
          });
        });
      });
  });
});
