/** The package as a program in TypeScript meets it: its declarations hold with the types of every version of Node, however modules are resolved. */

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compiled } from '../support/child.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'consumer-'));
afterAll(() => rmSync(folder, { recursive: true }));

const { exports: doors } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object };
const imports = Object.keys(doors)
  .filter((door) => !door.endsWith('.json'))
  .map((door, i) => `import * as door${i} from 'chimney${door.slice(1)}';\nexport { door${i} };\n`);

/** What programs do with it, as far as Node's own types play a part. */
const USE = `
import http from 'node:http';
import net from 'node:net';
import { createStack, memoryLinkPair, SystemRuntime, type Stack } from 'chimney';
const runtime = new SystemRuntime();
const wire = memoryLinkPair({ runtime });
const stack: Stack = createStack({ runtime, links: [{ link: wire.a, addresses: ['10.0.0.1/24'] }] });
const blockList = new net.BlockList();
const server = stack.net.createServer({ blockList, noDelay: true, pauseOnConnect: false }, (socket) => {
  socket.setOnRead({ borrow: true, callback: (length, bytes, loan) => loan.keep().bytes.length > length + bytes.length });
  socket.end(String(socket.chimney?.location));
});
server.listen({ port: 80, host: '10.0.0.1', reusePort: true });
const bound = new stack.net.BoundSocket({ port: 5 });
new stack.net.Socket({ handle: bound, typeOfService: 16, blockList, allowHalfOpen: true }).connect(80, '10.0.0.1');
stack.net.connect({ host: '10.0.0.1', port: 80 }).setKeepAlive({ enable: true, interval: 1000 }).pipe(process.stdout);
stack.dgram.createSocket({ type: 'udp4', reusePort: true, sendBlockList: blockList }).bindSync({ port: 7 }).port.toFixed();
http.get({ host: '10.0.0.1', path: '/hello', agent: stack.net.http.agent }, (response) => response.resume());
// @ts-expect-error: an option of that name there is not
createStack({ runtime, link: [] });
`;

const TYPES = { 20: '@types/node', 22: 'types-node-22', 24: 'types-node-24', 26: 'types-node-26' };
const RESOLUTIONS = [
  ['node16', 'node16'],
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
] as const;

describe.each(Object.entries(TYPES))('with the types of Node %s', (version, types) => {
  const project = join(folder, version);

  beforeAll(() => {
    compiled('src/index.ts');
    mkdirSync(join(project, 'node_modules', '@types'), { recursive: true });
    symlinkSync(root, join(project, 'node_modules', 'chimney'), 'dir');
    symlinkSync(join(root, 'node_modules', types), join(project, 'node_modules', '@types', 'node'), 'dir');
    writeFileSync(join(project, 'use.mts'), imports.join('') + USE);
  });

  test.each(RESOLUTIONS)(
    '--module %s --moduleResolution %s: every door, strictly, declarations of libraries included',
    (module, moduleResolution) => {
      const strictly = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true };
      const compilerOptions = {
        ...strictly,
        target: 'es2022',
        lib: ['es2024'],
        types: ['node'],
        module,
        moduleResolution,
      };
      const config = join(project, `${moduleResolution}.json`);
      writeFileSync(config, JSON.stringify({ compilerOptions, files: ['use.mts'] }));
      const tsc = join(root, 'node_modules', '.bin', 'tsc');
      const { stdout, status } = spawnSync(tsc, ['-p', config], { encoding: 'utf8', cwd: project });
      expect(stdout).toBe('');
      expect(status).toBe(0);
    },
  );
});
