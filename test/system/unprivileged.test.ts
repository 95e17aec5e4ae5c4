/**
 * Devices without root: a user without capabilities is told what is missing and what to do, nothing of the attempt is left, and a device
 * that was made for that user serves it. Root only, who makes the devices and gives the rights up.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { get } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeIf, requires } from '../support/requires.ts';

const dist = new URL('../../dist/src/', import.meta.url).href;
const own = `cho${process.pid % 100_000}`;
const other = `chx${process.pid % 100_000}`;
/** nobody, wherever that is. */
const USER = 65_534;
const TIMEOUT_MS = 60_000;

/**
 * A program of an ordinary user, to whom /dev/net/tun is open as it is on most machines, though it be root's alone on this one. Reading files is
 * the one thing it may that others may not: the packages may lie in somebody's home.
 */
function asUser(program: string, mayOpenTun = true): ChildProcess {
  const mode = mayOpenTun ? 666 : 600;
  const setUp = `mount -t tmpfs tmpfs /dev/net && mknod -m ${mode} /dev/net/tun c 10 200`;
  const rights = ['--inh-caps=-all,+dac_read_search', '--ambient-caps=-all,+dac_read_search'];
  const drop = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', ...rights];
  const node = [process.execPath, '--input-type=module', '-e', program];
  const script = `${setUp} && exec "$@"`;
  return spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', ...drop, ...node], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** What becomes of opening a device: its MTU, or the error. And whether descriptors are left open. */
async function opening(call: string, mayOpenTun = true): Promise<{ answer: string; left: number }> {
  const child = asUser(
    `import { readdirSync } from 'node:fs';
     import { openPacket, openPair, openTun } from '${dist}link/node/index.js';
     const count = () => readdirSync('/proc/self/fd').length;
     try { openTun({ name: 'lo' }); } catch {}
     const before = count();
     let answer = '';
     try { const one = ${call}; answer = 'mtu ' + (one[0] ?? one).mtu; } catch (error) { answer = error.name + ' ' + error.message; }
     console.log(JSON.stringify({ answer, left: count() - before }));`,
    mayOpenTun,
  );
  let text = '';
  child.stdout!.on('data', (data: Buffer) => {
    text += data.toString();
  });
  await once(child, 'close');
  return JSON.parse(text) as { answer: string; left: number };
}

function fetched(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, (response) => {
      let text = '';
      response.on('data', (data: Buffer) => {
        text += data.toString();
      });
      response.on('end', () => resolve(text));
    }).on('error', reject);
  });
}

const needs = [requires.tun, requires.program('unshare'), requires.program('setpriv')];

describeIf(needs, 'a user without capabilities', () => {
  beforeAll(() => {
    const ip = (...args: string[]): void => void execFileSync('ip', args);
    ip('tuntap', 'add', 'dev', own, 'mode', 'tun', 'user', String(USER));
    ip('tuntap', 'add', 'dev', other, 'mode', 'tun', 'user', '1');
    ip('address', 'add', '10.231.7.1/24', 'dev', own);
    ip('link', 'set', own, 'mtu', '1400', 'up');
  });

  afterAll(() => {
    for (const name of [own, other]) execFileSync('ip', ['link', 'delete', name]);
  });

  test.each([
    [
      'openTun()',
      'EPERM: TUNSETIFF : making a device needs CAP_NET_ADMIN (root); without it name one that was made for this user: ip tuntap add dev NAME mode tun user 65534',
    ],
    [
      "openTun({ name: 'chnew0', kind: 'tap', addresses: ['10.231.8.1/24'] })",
      'TUNSETIFF chnew0: making a device needs CAP_NET_ADMIN (root); without it name one that was made for this user: ip tuntap add dev chnew0 mode tap user 65534',
    ],
    [`openTun({ name: '${other}' })`, `EPERM: TUNSETIFF ${other}: the device belongs to another user: CAP_NET_ADMIN`],
    [
      `openTun({ name: '${own}', addresses: ['10.231.8.1/24'] })`,
      `needs CAP_NET_ADMIN (root); without it leave out addresses, routes, mtu and txQueueLength, and have ${own} set up beforehand`,
    ],
    [`openTun({ name: '${own}', mtu: 1300 })`, 'needs CAP_NET_ADMIN (root)'],
    [`openTun({ name: '${own}', txQueueLength: 9 })`, 'needs CAP_NET_ADMIN (root)'],
    [
      "openPacket({ name: 'lo' })",
      'EPERM: AF_PACKET needs CAP_NET_RAW (root, or setcap cap_net_raw+ep on the program)',
    ],
  ])(
    'is told what is missing, and nothing is left: %s',
    async (call, expected) => {
      const { answer, left } = await opening(call);
      expect(answer).toMatch(/^DeviceError /);
      expect(answer).toContain(expected);
      expect(left).toBe(0);
      expect(execFileSync('ip', ['-brief', 'link']).toString()).not.toContain('chnew0');
      expect(execFileSync('ip', ['-brief', 'address', 'show', own]).toString()).not.toContain('10.231.8.');
    },
    TIMEOUT_MS,
  );

  test(
    'who may not open /dev/net/tun is told of its mode',
    async () => {
      const { answer } = await opening('openTun()', false);
      expect(answer).toContain('EACCES: /dev/net/tun: this user may not open it: chmod 666 /dev/net/tun');
    },
    TIMEOUT_MS,
  );

  test.each(["'all'", "'checksum'", "'none'"])(
    'has the device that was made for it, with the MTU that was set: offload %s',
    async (offload) => {
      expect(await opening(`openTun({ name: '${own}', offload: ${offload} })`)).toEqual({
        answer: 'mtu 1400',
        left: 1,
      });
      expect(await opening(`openTun({ name: '${own}', offload: ${offload}, mtu: 1400 })`)).toMatchObject({
        answer: 'mtu 1400',
      });
    },
    TIMEOUT_MS,
  );

  test(
    'has a socket pair as it is',
    async () => {
      expect((await opening('openPair()')).answer).toMatch(/^mtu /);
    },
    TIMEOUT_MS,
  );

  test.each([
    ['in its own thread', `{ link: new DeviceLink(openTun({ name: '${own}' })[0]) }`],
    ['in a NIC thread', `workerTarget(openTun({ name: '${own}' })[0])`],
  ])(
    'serves the machine over it, offloaded as well: %s',
    async (_where, link) => {
      const child = asUser(`
        import { createServer } from 'node:http';
        import { createStack } from '${dist}index.js';
        import { DeviceLink, openTun } from '${dist}link/node/index.js';
        import { workerTarget } from '${dist}target/worker/index.js';
        const stack = createStack({ links: [{ ...${link}, addresses: ['10.231.7.2/24'] }] });
        const server = stack.net.http.createServer((request, response) => {
          request.socket.chimney.offload().then(() => response.end(request.socket.chimney.location + ' of user ' + process.getuid()));
        });
        server.listen(80, '10.231.7.2', () => console.log('listening'));
        process.stdin.on('end', async () => { server.close(); await stack.close(); });
        process.stdin.resume();
      `);
      await once(child.stdout!, 'data');
      expect(await fetched('http://10.231.7.2/')).toBe(`target of user ${USER}`);
      child.stdin!.end();
      expect(await once(child, 'close')).toEqual([0, null]);
      // Made by others, it outlives who had it.
      expect(execFileSync('ip', ['-brief', 'address', 'show', own]).toString()).toContain('10.231.7.1/24');
    },
    TIMEOUT_MS,
  );

  test('an address that a device has already is no error: it may outlive who opened it', () => {
    const program = `import { openTun } from '${dist}link/node/index.js'; console.log(openTun({ name: '${own}', addresses: ['10.231.7.1/24'] })[0].mtu)`;
    expect(execFileSync(process.execPath, ['--input-type=module', '-e', program]).toString()).toBe('1400\n');
  });
});
