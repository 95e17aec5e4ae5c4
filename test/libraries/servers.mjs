/** pg, ioredis, mqtt and ssh2, unmodified, against real servers in the kernel, while their connections move. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { moveAll, moves } from './mover.mjs';

moveAll();
const host = process.env.TEST_HOST;
const said = {};
const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
const big = randomBytes(4 << 20);

async function postgres(port) {
  const { default: pg } = await import('pg');
  const pool = new pg.Pool({ host, port, user: 'postgres', database: 'postgres', max: 3 });
  const rows = await Promise.all(Array.from({ length: 30 }, (_, i) => pool.query('select $1::int * 2 as twice', [i])));
  const sum = rows.reduce((total, { rows: [row] }) => total + row.twice, 0);
  const echoed = await pool.query('select $1::bytea as back', [big]);
  const many = await pool.query('select n, md5(n::text) as m from generate_series(1, 50000) n');
  await pool.end();
  const isRight = many.rows.every(({ n, m }) => createHash('md5').update(String(n)).digest('hex') === m);
  return [sum, hash(echoed.rows[0].back) === hash(big), many.rows.length, isRight];
}

async function redis(port) {
  const { default: Redis } = await import('ioredis');
  const client = new Redis({ host, port });
  await client.set('big', big);
  const back = await client.getBuffer('big');
  const counts = await Promise.all(Array.from({ length: 2000 }, () => client.incr('count')));
  const hasOrder = counts.every((count, i) => count === i + 1);
  await client.quit();
  return [hash(back) === hash(big), hasOrder];
}

async function mosquitto(port) {
  const { default: mqtt } = await import('mqtt');
  const client = await mqtt.connectAsync(`mqtt://${host}:${port}`);
  await client.subscribeAsync('a/topic', { qos: 1 });
  const got = [];
  const all = new Promise((resolve) => {
    client.on('message', (_topic, payload) => {
      got.push(payload);
      if (got.length === 50) resolve();
    });
  });
  for (let i = 0; i < 50; i++)
    await client.publishAsync('a/topic', big.subarray(i * 5000, i * 5000 + 20_000), { qos: 1 });
  await all;
  await client.endAsync();
  return got.every((payload, i) => payload.equals(big.subarray(i * 5000, i * 5000 + 20_000)));
}

async function ssh(port) {
  const { default: ssh2 } = await import('ssh2');
  const client = new ssh2.Client();
  client.connect({ host, port, username: 'root', privateKey: readFileSync(process.env.TEST_SSH_KEY) });
  await once(client, 'ready');
  const stream = await new Promise((resolve, reject) => {
    client.exec('cat', (error, made) => (error ? reject(error) : resolve(made)));
  });
  const parts = [];
  stream.on('data', (data) => parts.push(data));
  stream.end(big);
  await once(stream, 'close');
  client.end();
  return hash(Buffer.concat(parts)) === hash(big);
}

const all = { postgres, redis, mosquitto, ssh };
for (const [name, port] of Object.entries(JSON.parse(process.env.TEST_PORTS))) said[name] = await all[name](port);
console.log(JSON.stringify({ ...said, hasMoved: moves.done > 10, moves }));
process.exit(0);
