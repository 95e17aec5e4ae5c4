/** Node's own `net` as a peer: `server.js ADDRESS`. */
import net from 'node:net';
import { ready, serve } from '../services.ts';

const [address = '127.0.0.1'] = process.argv.slice(2);
await serve(net, address, () => {});
ready();
