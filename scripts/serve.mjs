/**
 * A server of the files of a folder, for pages: GET only, to this machine only, nothing outside the folder.
 *
 * As a program (`npm run page`) it sets up what is missing, serves the repository and says where the example page is; `--port N`
 * chooses the port. It lives until it is interrupted.
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt, ensureInstalled, root } from './setup.mjs';

const PAGE = '/examples/browser/';
const PORT = 8080;
const TYPES = new Map([
  ['.css', 'text/css'],
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.json', 'application/json'],
  ['.map', 'application/json'],
  ['.svg', 'image/svg+xml'],
  ['.ts', 'text/plain; charset=utf-8'],
]);

/**
 * @param {string} folder - what is served
 * @param {number} port - 0: any free one
 * @returns {Promise<{ url: string, close: () => Promise<void> }>}
 */
export async function serve(folder, port = 0) {
  // Connections stay: one that is closed just as a browser asks again over it is a file that could not be loaded.
  const server = createServer({ keepAliveTimeout: 0 }, async (request, response) => {
    const answer = await answerTo(folder, request.method ?? '', request.url ?? '/');
    response.writeHead(answer.status, { 'content-type': answer.type, 'cache-control': 'no-cache' });
    response.end(answer.body);
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const close = () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

async function answerTo(folder, method, url) {
  const refused = (status, body) => ({ status, type: 'text/plain', body: `${body}\n` });
  if (method !== 'GET' && method !== 'HEAD') return refused(405, 'GET only');
  try {
    const path = decodeURIComponent(new URL(url, 'http://localhost').pathname);
    const file = normalize(join(folder, path.endsWith('/') ? `${path}index.html` : path));
    if (!file.startsWith(normalize(folder + sep))) return refused(404, 'not there');
    const body = await readFile(file);
    return { status: 200, type: TYPES.get(extname(file)) ?? 'application/octet-stream', body };
  } catch {
    return refused(404, 'not there');
  }
}

/** What is wrong with the arguments; undefined: nothing. */
function faultOf([name, value = '', ...rest]) {
  if (name === undefined) return undefined;
  const unknown = name === '--port' ? rest[0] : name;
  if (unknown !== undefined) return `page: there is no '${unknown}'; there is --port N`;
  const port = value === '' ? Number.NaN : Number(value);
  if (Number.isInteger(port) && port >= 0 && port <= 65535) return undefined;
  return `--port: expected a whole number from 0 to 65535, got '${value}'`;
}

async function main(args) {
  const fault = faultOf(args);
  if (fault !== undefined) {
    console.error(fault);
    process.exitCode = 2;
  } else if (!ensureInstalled() || !ensureBuilt()) {
    process.exitCode = 1;
  } else {
    const { url } = await serve(root, args.length === 0 ? PORT : Number(args[1]));
    console.log(`${url}${PAGE}  (Ctrl-C ends)`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  });
}
