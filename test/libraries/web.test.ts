/** Libraries of the web, unmodified, on a stack. */
import { expect, test } from 'vitest';
import { runRegistered } from './run.ts';

test('express, fastify, undici and ws serve and ask each other on one stack', async () => {
  expect(await runRegistered('web.mjs', { CHIMNEY_LINK: 'loopback' })).toEqual({
    express: true,
    upload: { hash: true, ip: '127.0.0.1' },
    fetch: true,
    fastify: { hello: 'you' },
    ws: true,
    undiciSocket: 'from undici',
  });
}, 60_000);
