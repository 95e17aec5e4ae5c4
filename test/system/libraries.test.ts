/**
 * pg, ioredis, mqtt and ssh2, unmodified and under `chimney/register`, against PostgreSQL, Redis, Mosquitto and OpenSSH in the
 * kernel, over a TUN device; all the while every connection goes to the target and back.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runRegistered } from '../libraries/run.ts';
import { compiled } from '../support/child.ts';
import { describeIf, type Requirement, requires } from '../support/requires.ts';

const KERNEL = '10.234.7.1';
const STACK = '10.234.7.2';

/** Where Debian keeps the programs of PostgreSQL; '' where it is not installed. */
function postgresFolder(): string {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql') : [];
  return versions.length === 0 ? '' : `/usr/lib/postgresql/${versions.sort().at(-1)}/bin`;
}

const postgresql: Requirement = {
  needs: 'PostgreSQL',
  isPrivileged: false,
  isMet: () => postgresFolder() !== '',
};

const running: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), 'libraries-'));

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Resolves once somebody listens on the port. */
async function answers(port: number): Promise<void> {
  for (;;) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (isThere) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function start(program: string, args: readonly string[], options: { uid?: number; gid?: number } = {}): void {
  running.push(spawn(program, args, { stdio: 'ignore', cwd: folder, ...options }));
}

function idsOf(user: string): { uid: number; gid: number } {
  const id = (flag: string): number => Number(execFileSync('id', [flag, user], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

async function startPostgres(): Promise<number> {
  const port = await freePort();
  const owner = idsOf('postgres');
  const data = join(folder, 'postgres');
  mkdirSync(data);
  chownSync(data, owner.uid, owner.gid);
  execFileSync('chmod', ['755', folder]);
  execFileSync(`${postgresFolder()}/initdb`, ['-D', data, '-A', 'trust', '-N'], {
    cwd: data,
    stdio: 'ignore',
    ...owner,
  });
  writeFileSync(
    join(data, 'pg_hba.conf'),
    `local all all trust\nhost all all 127.0.0.1/32 trust\nhost all all ${STACK}/32 trust\n`,
  );
  start(
    `${postgresFolder()}/postgres`,
    ['-D', data, '-p', `${port}`, '-c', 'listen_addresses=0.0.0.0', '-k', data, '-F'],
    owner,
  );
  await answers(port);
  return port;
}

async function startRedis(): Promise<number> {
  const port = await freePort();
  start('redis-server', [
    '--port',
    `${port}`,
    '--bind',
    '0.0.0.0',
    '--protected-mode',
    'no',
    '--save',
    '',
    '--dir',
    folder,
  ]);
  await answers(port);
  return port;
}

async function startMosquitto(): Promise<number> {
  const port = await freePort();
  const config = join(folder, 'mosquitto.conf');
  writeFileSync(config, `listener ${port} 0.0.0.0\nallow_anonymous true\nuser root\n`);
  start('/usr/sbin/mosquitto', ['-c', config]);
  await answers(port);
  return port;
}

async function startSshd(): Promise<number> {
  const port = await freePort();
  for (const name of ['host', 'client']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
  }
  mkdirSync('/run/sshd', { recursive: true });
  const options = ['StrictModes=no', 'PermitRootLogin=yes', 'UsePAM=no', `PidFile=${join(folder, 'sshd.pid')}`];
  options.push(`AuthorizedKeysFile=${join(folder, 'client.pub')}`, 'ListenAddress=0.0.0.0');
  const flags = options.flatMap((option) => ['-o', option]);
  start('/usr/sbin/sshd', ['-D', '-f', '/dev/null', '-p', `${port}`, '-h', join(folder, 'host'), ...flags]);
  await answers(port);
  return port;
}

afterAll(async () => {
  const ends = running.map((child) => new Promise((resolve) => child.once('exit', resolve)));
  for (const child of running) child.kill('SIGINT');
  await Promise.all(ends);
  rmSync(folder, { recursive: true, force: true });
});

const programs = ['redis-server', 'mosquitto', 'sshd', 'ssh-keygen'].map((name) => requires.program(name));

describeIf([requires.tun, postgresql, ...programs], 'real libraries against real servers', () => {
  const ports: Record<string, number> = {};
  let env: Record<string, string> = {};

  beforeAll(async () => {
    ports['postgres'] = await startPostgres();
    ports['redis'] = await startRedis();
    ports['mosquitto'] = await startMosquitto();
    ports['ssh'] = await startSshd();
    env = {
      CHIMNEY_LINK: 'tun',
      CHIMNEY_ADDRESSES: `${STACK}/24`,
      CHIMNEY_PEER: `${KERNEL}/24`,
      TEST_HOST: KERNEL,
      TEST_SSH_KEY: join(folder, 'client'),
    };
    compiled('src/register.ts');
  }, 60_000);

  describe('every byte is right, while the connections move', () => {
    const wanted: Readonly<Record<string, unknown>> = {
      postgres: [870, true, 50_000, true],
      redis: [true, true],
      mosquitto: true,
      ssh: true,
    };
    test.each(Object.keys(wanted))(
      '%s',
      async (name) => {
        const said = await runRegistered('servers.mjs', {
          ...env,
          TEST_PORTS: JSON.stringify({ [name]: ports[name] }),
        });
        expect(said).toMatchObject({ [name]: wanted[name], hasMoved: true });
      },
      60_000,
    );
  });
});
