/** The kernel's iperf3 measures against the example server on the stack, while its connections move. Root only. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startScript } from '../support/child.ts';
import { describeIf, requires } from '../support/requires.ts';

const run = promisify(execFile);

interface Report {
  readonly error?: string;
  readonly end: { readonly sum_received: { readonly bytes: number }; readonly sum_sent: { readonly bytes: number } };
}

describeIf([requires.tun, requires.program('iperf3')], 'iperf3', () => {
  let server: ReturnType<typeof startScript>;

  beforeAll(async () => {
    server = startScript('examples/iperf3-server.ts', { args: ['--move', '15'] });
    await new Promise<void>((resolve, reject) => {
      server.stdout!.on('data', (text: Buffer) => {
        if (String(text).includes('iperf3 server on')) resolve();
      });
      server.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
    });
  });

  afterAll(() => {
    server.kill();
  });

  test.each([
    ['forward over IPv4', ['-c', '10.98.76.2']],
    ['forward over IPv6', ['-6', '-c', 'fd98::2']],
    ['forward over IPv4 in three streams', ['-c', '10.98.76.2', '-P', '3']],
  ])(
    '%s',
    async (_name, args) => {
      const { stdout } = await run('iperf3', [...args, '-t', '2', '-J'], { timeout: 20_000, maxBuffer: 16 << 20 });
      const report = JSON.parse(stdout) as Report;
      expect(report.error).toBeUndefined();
      expect(report.end.sum_sent.bytes).toBeGreaterThan(10 << 20);
      expect(report.end.sum_received.bytes).toBeGreaterThan(10 << 20);
      expect(server.exitCode).toBe(null);
    },
    30_000,
  );
});
